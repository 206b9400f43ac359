# Copyright (c) mmmultissl contributors. All rights reserved.
"""Contrastive representation distillation."""
import math
from typing import Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor

from mmmultissl.registry import MODELS

from ...utils import RingQueue
from ..similarity import row_similarity
from .base import DistillationDistance
from .rows import unit_rows


@MODELS.register_module()
class CRDDistance(DistillationDistance):
    r"""Tell pairs of one sample from pairs of two, by a classifier.

    .. math::
        -\log h(s_n, t_n) - \sum_k \log (1 - h(s_n, q_k)), \qquad
        h(a, b) = \frac{\exp(a \cdot b / \tau)}
                       {\exp(a \cdot b / \tau) + K Z}

    with the teacher's features :math:`q_k` of K other samples, plus the same
    of :math:`t_n` against K of the student's, for unit vectors of linear
    embeddings: `Contrastive Representation Distillation
    <https://arxiv.org/abs/1910.10699>`_, equations 5 to 9. As in its authors'
    code, Z is the mean of :math:`\exp(a \cdot b / \tau)` over one batch
    and stays what it is. Our choice: it is the first batch with full queues,
    and each batch has its own Z before, since random keys resemble no
    features.

    Our choice: negatives are the last features of all processes, from two
    queues, in place of a memory with one entry for every image and one for
    the teacher's. So no index of an image is needed, memory does not grow
    with the data, and negatives are at most K samples old. Neither 0 nor
    minimal at student = teacher.

    Args:
        in_channels (Sequence[int], optional): Channels of student and
            teacher, for the embeddings, which are trained along, the
            teacher's too. Defaults to None: no embeddings, features are
            compared as they are.
        feat_dim (int): Length of an embedding; without embeddings, of the
            features. Defaults to 128.
        queue_len (int): K. Defaults to 16384.
        temperature (float): :math:`\tau`. Defaults to 0.07.

    Raises:
        ValueError: If the temperature is not positive, or ``in_channels`` no
            pair.
    """

    layouts = ('pooled', )
    same_channels = False

    def __init__(self,
                 in_channels: Optional[Sequence[int]] = None,
                 feat_dim: int = 128,
                 queue_len: int = 16384,
                 temperature: float = 0.07) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f'The temperature of CRDDistance is {temperature}'
                             ': set a positive one, such as 0.07.')
        if in_channels is not None and (isinstance(in_channels, (str, int))
                                        or len(in_channels) != 2):
            raise ValueError(
                f'CRDDistance got in_channels={in_channels!r}: set the '
                'channels of student and teacher, such as (512, 512).')
        self.temperature = temperature
        self.made_for = tuple(in_channels or (feat_dim, feat_dim))
        self.embed_student, self.embed_teacher = (
            (nn.Identity(), nn.Identity()) if in_channels is None else
            (nn.Linear(channels, feat_dim) for channels in in_channels))
        self.student_queue = RingQueue(feat_dim, queue_len)
        self.teacher_queue = RingQueue(feat_dim, queue_len)
        # log Z towards the teacher and towards the student; NaN: of the
        # batch, until the queues are full.
        self.log_z = [math.nan, math.nan]

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance, then fill the queues.

        Args:
            student (Tensor): ``(N, C)``.
            teacher (Tensor): The same of the teacher.

        Returns:
            Tensor: A scalar.
        """
        student_NC = unit_rows(self.embed_student(student))
        teacher_NC = unit_rows(self.embed_teacher(teacher))
        positive_N = row_similarity(student_NC, teacher_NC)
        loss = (self._loss(0, positive_N, student_NC, self.teacher_queue) +
                self._loss(1, positive_N, teacher_NC, self.student_queue))
        if self.training:
            self.student_queue.enqueue(student_NC)
            self.teacher_queue.enqueue(teacher_NC)
        return loss

    def _loss(self, side: int, positive_N: Tensor, query_NC: Tensor,
              queue: RingQueue) -> Tensor:
        # The queue is written before the backward pass reads it.
        negative_NK = query_NC @ queue.keys.clone() / self.temperature
        positive_N = positive_N / self.temperature
        log_z = self.log_z[side]
        if math.isnan(log_z):
            log_z = _log_mean_exp(
                torch.cat([positive_N.unsqueeze(1), negative_NK], dim=1))
            if self.training and queue.is_full:
                # Once: reading a number makes the device wait.
                self.log_z[side] = log_z = float(log_z)
        # log(h / (1 - h)) is the similarity less this.
        shift = log_z + math.log(queue.length)
        return (F.softplus(shift - positive_N) +
                F.softplus(negative_NK - shift).sum(1)).mean()

    def get_extra_state(self) -> Tensor:
        """Get both log Z for the state dict, as a CPU tensor."""
        return torch.tensor(self.log_z, dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Take both log Z from a state dict."""
        self.log_z = state.tolist()

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'temperature={self.temperature}'


@torch.no_grad()
def _log_mean_exp(logits: Tensor) -> Tensor:
    """The logarithm of the mean exponential, over all processes."""
    largest = logits.max().to(torch.float64)
    all_reduce(largest, 'max')
    mean = (logits.to(torch.float64) - largest).exp().mean()
    all_reduce(mean, 'mean')
    return largest + mean.log()
