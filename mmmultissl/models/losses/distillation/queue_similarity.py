# Copyright (c) mmmultissl contributors. All rights reserved.
"""Similarities to earlier samples, as probabilities."""
import torch
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from ...utils import RingQueue
from ..similarity import row_similarity
from .base import DistillationDistance
from .rows import unit_rows


@MODELS.register_module()
class QueueSimilarityDistance(DistillationDistance):
    r"""Divergence of the similarities to a queue of the teacher's features.

    .. math::
        \frac1N \sum_n KL\left( softmax(t_n \cdot d / \tau_t) \,\|\,
                                softmax(s_n \cdot d / \tau_s) \right),
        \qquad d = (t_n, q_1, ..., q_K)

    for unit vectors: `SEED <https://arxiv.org/abs/2101.04731>`_, equations 3
    to 5, up to the teacher's entropy, which is a constant; `CompRess
    <https://arxiv.org/abs/2010.14713>`_ with one queue and equal temperatures
    is nearly the same. With equal temperatures it is 0 at student = teacher;
    with SEED's, the default, it asks the student for sharper neighbours than
    its own temperature gives.

    Args:
        feat_dim (int): Length of a feature vector.
        queue_len (int): K. It starts with random vectors. Defaults to 65536.
        temperature (float): :math:`\tau_s` of the student. Defaults to 0.2.
        teacher_temperature (float): :math:`\tau_t`. Defaults to 0.01.

    Raises:
        ValueError: If a temperature is not positive.
    """

    layouts = ('pooled', )

    def __init__(self,
                 feat_dim: int,
                 queue_len: int = 65536,
                 temperature: float = 0.2,
                 teacher_temperature: float = 0.01) -> None:
        super().__init__()
        if temperature <= 0 or teacher_temperature <= 0:
            raise ValueError(
                'QueueSimilarityDistance got the temperatures '
                f'{temperature} and {teacher_temperature}: set positive ones, '
                'such as 0.2 and 0.01.')
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature
        self.made_for = (feat_dim, feat_dim)
        self.queue = RingQueue(feat_dim, queue_len)

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance, then put the teacher's into the queue.

        Args:
            student (Tensor): ``(N, C)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        student_NC, teacher_NC = unit_rows(student), unit_rows(teacher)
        # The queue is written before the backward pass reads it.
        queue_CK = self.queue.keys.clone()
        loss = F.kl_div(
            _log_similarities(student_NC, teacher_NC, queue_CK,
                              self.temperature),
            _log_similarities(teacher_NC, teacher_NC, queue_CK,
                              self.teacher_temperature),
            reduction='batchmean',
            log_target=True)
        if self.training:
            self.queue.enqueue(teacher_NC)
        return loss

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return (f'temperature={self.temperature}, '
                f'teacher_temperature={self.teacher_temperature}')


def _log_similarities(query_NC: Tensor, own_NC: Tensor, queue_CK: Tensor,
                      temperature: float) -> Tensor:
    own_N = row_similarity(query_NC, own_NC)
    logits = torch.cat([own_N.unsqueeze(1), query_NC @ queue_CK], dim=1)
    return F.log_softmax(logits / temperature, dim=1)
