# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which sample of the batch is likely to be another one's neighbour."""
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import DistillationDistance
from .rows import gather_rows, other_samples, unit_rows

_SMALLEST = 1e-7


@MODELS.register_module()
class PKTDistance(DistillationDistance):
    r"""Probabilistic knowledge transfer: divergence of neighbourhoods.

    .. math::
        \frac1N \sum_i \sum_{j \ne i} p^t_{j|i}
        \log \frac{p^t_{j|i}}{p^s_{j|i}}, \qquad
        p_{j|i} = \frac{K(x_i, x_j)}{\sum_{k \ne i} K(x_i, x_k)}, \quad
        K(a, b) = \tfrac12 (\cos(a, b) + 1)

    `Learning Deep Representations with Probabilistic Knowledge Transfer
    <https://arxiv.org/abs/1803.10837>`_ with its cosine kernel. The mean over
    i in place of the sum is our choice. Channels may differ. It is 0 at
    student = teacher, and where the student is the teacher rotated, or its
    samples are scaled.

    Args:
        gather (bool): Whether the samples of all processes are compared.
            Defaults to False: those of a process.

    Raises:
        ValueError: If there are fewer than two samples.
    """

    layouts = ('pooled', )
    same_channels = False

    def __init__(self, gather: bool = False) -> None:
        super().__init__()
        self.gather = gather

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): ``(N, C)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        log_student = self._log_neighbours(student)
        log_teacher = self._log_neighbours(teacher)
        gap = log_teacher.exp() * (log_teacher - log_student)
        return gap.sum(1).mean()

    def _log_neighbours(self, rows: Tensor) -> Tensor:
        """Log-probabilities of the others, ``(N, N - 1)``."""
        if self.gather:
            rows = gather_rows(rows)
        if len(rows) < 2:
            raise ValueError('PKTDistance got one sample, which has no '
                             'neighbours: set a batch size of at least 2.')
        rows = unit_rows(rows)
        kernel = (rows @ rows.t() + 1) / 2
        kernel = kernel.gather(1, other_samples(len(rows), rows.device))
        # Opposite vectors would have the logarithm of 0.
        kernel = kernel.clamp_min(_SMALLEST)
        return (kernel / kernel.sum(1, keepdim=True)).log()

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'gather={self.gather}'
