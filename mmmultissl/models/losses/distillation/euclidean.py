# Copyright (c) mmmultissl contributors. All rights reserved.
"""Squared Euclidean distance of unit vectors."""
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance
from .rows import about_teacher_mean, unit_rows, vector_rows


@MODELS.register_module()
class EuclideanDistance(DistillationDistance):
    r"""Squared Euclidean distance between the directions of features.

    .. math::
        \frac1N \sum_n \left| \frac{s_n}{|s_n|} - \frac{t_n}{|t_n|} \right|^2
        = 2 - \frac2N \sum_n \cos(s_n, t_n)

    over the samples, or over all cells of dense features. It is 0 where the
    student has the teacher's directions and at most 4. "Euclidean distance"
    is one of the combinations of "Sound and Visual Representation Learning
    with Multiple Pretraining Tasks" (CVPR 2022); only its name is known to
    us. That vectors have unit length first is our choice.

    Args:
        centre (bool): Whether features are measured from the mean of the
            teacher's over the batch (our choice): means of maps behind a
            ReLU point nearly the same way for all samples.
            Defaults to False.

    Examples:
        >>> import torch
        >>> from mmmultissl.models.losses import EuclideanDistance
        >>> EuclideanDistance()(torch.tensor([[2., 0.]]),
        ...                     torch.tensor([[0., 3.]]))
        tensor(2.)
    """

    def __init__(self, centre: bool = False) -> None:
        super().__init__()
        self.centre = centre

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C)`` or ``(N, C, H, W)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        if self.centre:
            student, teacher = about_teacher_mean(student, teacher)
        gap = unit_rows(vector_rows(student)) - unit_rows(vector_rows(teacher))
        return gap.pow(2).sum(1).mean()

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'centre={self.centre}'
