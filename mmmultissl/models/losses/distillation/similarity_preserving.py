# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which samples of the batch are alike."""
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance
from .rows import gather_rows


@MODELS.register_module()
class SimilarityPreservingDistance(DistillationDistance):
    r"""Distance between the similarity matrices of the batch.

    .. math::
        \frac{1}{N^2} \left| G(s) - G(t) \right|_F^2, \qquad
        G(x) = Q Q^T, \text{ its rows brought to unit length,}

    where row n of Q holds all features of sample n: `Similarity-Preserving
    Knowledge Distillation <https://arxiv.org/abs/1907.09682>`_, equations 1
    to 4. Channels and map sizes may differ. It is 0 at student = teacher, and
    where the student is the teacher rotated or scaled.

    Args:
        gather (bool): Whether the samples of all processes are compared.
            Defaults to False: those of a process, as on the paper's one GPU.
    """

    same_channels = same_size = False

    def __init__(self, gather: bool = False) -> None:
        super().__init__()
        self.gather = gather

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C)`` or ``(N, C, H, W)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        return F.mse_loss(self._similarities(student),
                          self._similarities(teacher))

    def _similarities(self, features: Tensor) -> Tensor:
        rows = features.flatten(1)
        if self.gather:
            rows = gather_rows(rows)
        return F.normalize(rows @ rows.t(), dim=1)

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'gather={self.gather}'
