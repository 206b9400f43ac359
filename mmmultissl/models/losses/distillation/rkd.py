# Copyright (c) mmmultissl contributors. All rights reserved.
"""Distances and angles between the samples of the batch."""
import math

import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance
from .rows import gather_rows

_SMALLEST = 1e-12
# Distance, relative to the mean one, below which a direction means little.
_NEAR = 1e-3


@MODELS.register_module()
class RKDDistance(DistillationDistance):
    r"""Relational knowledge distillation: distances and angles of samples.

    .. math::
        w_d \, E_{i \ne j} \, l\left( \frac{|s_i - s_j|}{\mu_s},
                                      \frac{|t_i - t_j|}{\mu_t} \right) +
        w_a \, E_{ijk} \, l\left( \cos \angle s_i s_j s_k,
                                  \cos \angle t_i t_j t_k \right)

    with Huber's loss l (at :math:`\delta = 1`) and the mean distance
    :math:`\mu` of the batch: `Relational Knowledge Distillation
    <https://arxiv.org/abs/1904.05068>`_, equations 4 to 9. Means are over
    the pairs, and over the triples of different samples, in place of the
    paper's sums (our choice). Channels may differ. It is 0 at student =
    teacher, and where the student is the teacher rotated, moved and scaled.

    Angles need memory for a few times N^2 (N + C) numbers: 200 MB each for
    N = 256 and C = 512.

    Args:
        distance_weight (float): :math:`w_d`. Defaults to 1.
        angle_weight (float): :math:`w_a`. Defaults to 2, in the paper's ratio
            to the other; 0 leaves angles out.
        gather (bool): Whether the samples of all processes are compared.
            Defaults to False: those of a process.

    Raises:
        ValueError: If there are fewer than three samples.
    """

    layouts = ('pooled', )
    same_channels = False

    def __init__(self,
                 distance_weight: float = 1.,
                 angle_weight: float = 2.,
                 gather: bool = False) -> None:
        super().__init__()
        self.distance_weight = distance_weight
        self.angle_weight = angle_weight
        self.gather = gather

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        if self.gather:
            student, teacher = gather_rows(student), gather_rows(teacher)
        if len(student) < 3:
            raise ValueError(
                f'RKDDistance got {len(student)} samples, and an angle has '
                'three: set a batch size of at least 3.')
        loss = self.distance_weight * F.smooth_l1_loss(
            relative_distances(student), relative_distances(teacher))
        if self.angle_weight:
            triples = math.perm(len(student), 3)
            loss = loss + self.angle_weight / triples * F.smooth_l1_loss(
                cosines_of_angles(student),
                cosines_of_angles(teacher),
                reduction='sum')
        return loss

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return (f'distance_weight={self.distance_weight}, '
                f'angle_weight={self.angle_weight}, gather={self.gather}')


def relative_distances(rows: Tensor) -> Tensor:
    """Get the distances of all pairs, relative to their mean.

    Args:
        rows (Tensor): ``(N, C)``.

    Returns:
        Tensor: ``(N (N - 1) / 2,)``.
    """
    distances = F.pdist(rows)
    return distances / distances.mean().clamp_min(_SMALLEST)


def cosines_of_angles(rows: Tensor) -> Tensor:
    """Get the cosines of the angles at j between i and k.

    The direction from one sample to another that nearly coincides with it,
    nearer than a thousandth of the mean distance, is noise with a gradient
    beyond bounds; it counts for less the nearer they are (our choice).

    Args:
        rows (Tensor): ``(N, C)``.

    Returns:
        Tensor: ``(N, N, N)``, by j, i, k: 1 where i = k, and 0 where one of
        them is j, for any samples.
    """
    gap = rows.unsqueeze(0) - rows.unsqueeze(1)
    length = gap.norm(dim=2, keepdim=True)
    shortest = _NEAR * length.detach().mean() + _SMALLEST
    gap = gap / length.maximum(shortest)
    return gap @ gap.transpose(1, 2)
