# Copyright (c) mmmultissl contributors. All rights reserved.
"""Where in the picture the features are large."""
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance


@MODELS.register_module()
class AttentionDistance(DistillationDistance):
    r"""Attention transfer: squared distance of normalised attention maps.

    .. math::
        \frac1N \sum_n \left| \frac{A(s_n)}{|A(s_n)|} -
                              \frac{A(t_n)}{|A(t_n)|} \right|^2,
        \qquad A(x)_{hw} = \sum_c |x_{chw}|^p

    `Paying More Attention to Attention <https://arxiv.org/abs/1612.03928>`_,
    section 3.1 and equation 2, whose norm is not squared; the square, smooth
    at 0, is our choice. The numbers of channels may differ. It is 0 at
    student = teacher.

    Args:
        power (int): Exponent p. Defaults to 2.
    """

    layouts = ('dense', )
    same_channels = False

    def __init__(self, power: int = 2) -> None:
        super().__init__()
        self.power = power

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C, H, W)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        gap = self._attention(student) - self._attention(teacher)
        return gap.pow(2).sum(1).mean()

    def _attention(self, maps: Tensor) -> Tensor:
        map_NS = maps.abs().pow(self.power).sum(1).flatten(1)
        return F.normalize(map_NS, dim=1)

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'power={self.power}'
