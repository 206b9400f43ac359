# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mean squared error of features."""
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance


@MODELS.register_module()
class HintDistance(DistillationDistance):
    r"""Mean squared error between features: a hint of the teacher.

    .. math:: \frac{1}{NC} \sum_{nc} (s_{nc} - t_{nc})^2

    `FitNets: Hints for Thin Deep Nets <https://arxiv.org/abs/1412.6550>`_,
    equation 3, where the student's features go through a regressor: here the
    task's predictor, ``predictor=dict(in_channels=C, hidden_channels=0)`` for
    a linear one. The mean in place of the paper's half sum is our choice, so
    that the weight does not depend on the size of the features. It is 0 at
    student = teacher.
    """

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C)`` or ``(N, C, H, W)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        return F.mse_loss(student, teacher)
