# Copyright (c) mmmultissl contributors. All rights reserved.
"""Knowledge distillation: softened class probabilities."""
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance


@MODELS.register_module()
class KDDistance(DistillationDistance):
    r"""Divergence of the student's class probabilities from the teacher's.

    .. math::
        \frac{T^2}{N} \sum_n KL\left( softmax(t_n / T) \,\|\,
                                      softmax(s_n / T) \right)

    `Distilling the Knowledge in a Neural Network
    <https://arxiv.org/abs/1503.02531>`_, section 2: the factor
    :math:`T^2` keeps the gradient's size when T changes. The divergence in
    place of the cross-entropy, the same but for a constant, makes it 0 at
    student = teacher. Adding a number to all logits of a sample changes
    nothing.

    It reads logits. On features of an encoder without classes every channel
    is taken as a class (our choice).

    Args:
        temperature (float): T. Defaults to 4 (our choice; the paper tries 1
            to 20).
    """

    layouts = ('pooled', )

    def __init__(self, temperature: float = 4.) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'The temperature of KDDistance is {temperature}'
                             ': set a positive one, such as 4.')
        self.temperature = temperature

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): Logits, ``(N, C)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        return self.temperature**2 * F.kl_div(
            F.log_softmax(student / self.temperature, dim=1),
            F.log_softmax(teacher / self.temperature, dim=1),
            reduction='batchmean',
            log_target=True)

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'temperature={self.temperature}'
