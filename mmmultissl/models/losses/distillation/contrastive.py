# Copyright (c) mmmultissl contributors. All rights reserved.
"""Tell the teacher's features of a sample from those of others."""
from typing import Optional

import torch
from mmengine.dist import get_rank
from torch import Tensor

from mmmultissl.registry import MODELS

from ...utils import RingQueue
from ..info_nce import info_nce
from ..similarity import row_similarity
from .base import DistillationDistance
from .rows import (about_teacher_mean, gather_rows, pooled_rows, unit_rows,
                   vector_rows)

_SMALLEST = 1e-12


@MODELS.register_module()
class ContrastiveDistance(DistillationDistance):
    r"""InfoNCE of the student's features against the teacher's.

    .. math::
        -\frac1N \sum_i \log \frac{\exp(s_i \cdot t_i / \tau)}
        {\sum_j \exp(s_i \cdot t_j / \tau) + \sum_k \exp(s_i \cdot q_k / \tau)}

    for unit vectors: the teacher's features :math:`t_j` of the whole batch,
    of all processes, and :math:`q_k` of earlier batches where there is a
    queue. "Contrastive distance" is one of the combinations of "Sound and
    Visual Representation Learning with Multiple Pretraining Tasks" (CVPR
    2022); only its name is known to us. The loss is that of CaSSLe
    (arXiv:2112.04215) with its temperature, without negatives from the
    student; queue and dense form are our choice.

    Of dense features, every cell is told from the other images: its positive
    is the teacher's cell at the same place, its negatives are the teacher's
    pooled features of the other samples, as DenseCL's are.

    At student = teacher it is small but neither 0 nor its minimum: it asks
    for more than the teacher's own distances between samples.

    Args:
        temperature (float): :math:`\tau`. Defaults to 0.2.
        queue_len (int): Number of the teacher's earlier features that are
            negatives too. It starts with random vectors, as MoCo's does.
            Defaults to 0: none.
        feat_dim (int, optional): Length of a feature vector, needed for a
            queue. Defaults to None.
        symmetric (bool): Whether the mean is taken with the same loss of the
            teacher's features against the student's, which has no queue.
            Defaults to False.
        centre (bool): As in
            :class:`~mmmultissl.models.losses.EuclideanDistance`.
            Defaults to False.

    Raises:
        ValueError: If the temperature is not positive, or there is a queue
            and no ``feat_dim``.
    """

    def __init__(self,
                 temperature: float = 0.2,
                 queue_len: int = 0,
                 feat_dim: Optional[int] = None,
                 symmetric: bool = False,
                 centre: bool = False) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError('The temperature of ContrastiveDistance is '
                             f'{temperature}: set a positive one, such as '
                             '0.2.')
        if queue_len and not feat_dim:
            raise ValueError(
                f'ContrastiveDistance got queue_len={queue_len} and no '
                "feat_dim: set it to the teacher's number of channels.")
        self.temperature = temperature
        self.symmetric = symmetric
        self.centre = centre
        self.made_for = (feat_dim, feat_dim) if queue_len else None
        self.queue = RingQueue(feat_dim, queue_len) if queue_len else None

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance, then put the teacher's into the queue.

        Args:
            student (Tensor): ``(N, C)`` or ``(N, C, H, W)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        if self.centre:
            student, teacher = about_teacher_mean(student, teacher)
        # M rows: samples, or the cells of samples; N samples; R of all
        # processes.
        student_MC = unit_rows(vector_rows(student))
        teacher_MC = unit_rows(vector_rows(teacher))
        teacher_NC = unit_rows(pooled_rows(teacher))
        own_M = _own_sample(len(student_MC), len(teacher_NC), student.device)

        loss_M = self._loss(student_MC, teacher_MC, gather_rows(teacher_NC),
                            own_M)
        if self.queue is not None:
            loss_M = self._with_queue(loss_M, student_MC, teacher_MC)
            if self.training:
                self.queue.enqueue(teacher_NC)
        if not self.symmetric:
            return loss_M.mean()
        student_RC = gather_rows(unit_rows(pooled_rows(student)))
        back_M = self._loss(teacher_MC, student_MC, student_RC, own_M)
        return (loss_M.mean() + back_M.mean()) / 2

    def _loss(self, query_MC: Tensor, positive_MC: Tensor, keys_RC: Tensor,
              own_M: Tensor) -> Tensor:
        """Losses of rows against the samples of all processes, ``(M,)``."""
        positive_M = row_similarity(query_MC, positive_MC) / self.temperature
        logits_MR = query_MC @ keys_RC.t() / self.temperature
        # A row's own sample is its positive, not a negative.
        logits_MR = logits_MR.scatter(1, own_M.unsqueeze(1),
                                      positive_M.unsqueeze(1))
        return logits_MR.logsumexp(1) - positive_M

    def _with_queue(self, loss_M: Tensor, query_MC: Tensor,
                    positive_MC: Tensor) -> Tensor:
        """Add the queue to the negatives of a loss."""
        queue_M = info_nce(query_MC, row_similarity(query_MC, positive_MC),
                           self.queue.keys, self.temperature)
        # Either loss is log(1 + negatives / positive); so is that of both:
        # log(exp(a) + exp(b) - 1).
        queue_M = queue_M.clamp_min(_SMALLEST)
        return torch.logaddexp(loss_M,
                               queue_M + (-torch.expm1(-queue_M)).log())

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return (f'temperature={self.temperature}, '
                f'symmetric={self.symmetric}, centre={self.centre}')


def _own_sample(rows: int, samples: int, device: torch.device) -> Tensor:
    """Find the sample of each row among those of all processes, ``(M,)``."""
    own = torch.arange(samples, device=device) + get_rank() * samples
    return own.unsqueeze(1).expand(-1, rows // samples).flatten()
