# Copyright (c) mmmultissl contributors. All rights reserved.
"""Learned weights under which the tasks train equally fast."""
from typing import List, Optional, Tuple

import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer, TaskLosses
from .gram import norms
from .step_counter import StepCounter


def grad_norm_weights(gram: Tensor, scores: Tensor, ratios: Tensor,
                      alpha: float, lr: float) -> Tuple[Tensor, Tensor]:
    r"""Get the weights, and make one step of learning them.

    Equations 1 and 2 of the paper: with :math:`G_t = w_t \|g_t\|`, their mean
    :math:`\bar G` and a task's relative loss ratio :math:`r_t`, one step down
    the gradient of :math:`\sum_t |G_t - \bar G r_t^\alpha|`, in which
    :math:`\bar G r_t^\alpha` is a constant. Our choices: weights are T times
    the softmax of scores, so that they stay positive and add up to T, and the
    sum is divided by :math:`\bar G`, so that the size of the loss plays no
    part.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.
        scores (Tensor): What the weights are the softmax of, ``(T, )``.
        ratios (Tensor): Loss over its value at the start, ``(T, )``.
        alpha (float): Exponent :math:`\alpha`.
        lr (float): Learning rate of the scores.

    Returns:
        tuple[Tensor]: The weights, ``(T, )``, and the new scores.
    """
    lengths, there = norms(gram)
    count = there.sum().clamp(min=1)
    hidden = scores.masked_fill(~there, float('-inf'))
    shares = torch.where(there.any(), hidden, scores).softmax(0)
    weights = count * shares
    pulled = weights * lengths
    mean = pulled.sum() / count
    # Of a task without gradient it may be 0 / 0.
    ratios = torch.where(there, ratios, torch.zeros_like(ratios))
    relative = ratios * count / ratios.sum()
    side = (pulled - mean * relative**alpha).sign()
    # By the chain rule through the softmax.
    slope = side * pulled / mean
    slope = slope - shares * slope.sum()
    return weights, scores - lr * torch.where(there, slope,
                                              torch.zeros_like(slope))


@MODELS.register_module()
class GradNorm(GradientBalancer):
    r"""Learns weights under which weighted gradients are as long as the
    tasks' progress asks for.

    `GradNorm <https://arxiv.org/abs/1711.02257>`_: a task whose loss has
    fallen less than others' gets a longer gradient. The losses at the start,
    to which progress is relative, are means over some iterations, taken when
    all queues are full, since a contrastive loss rises while they fill (our
    choice); until they are known the weights are 1. They do not depend on the
    size of the losses once they have been learned. Losses have to be
    positive. See :class:`GradientBalancer` for what is weighed.

    Args:
        alpha (float): How strongly slow tasks are pulled.
            Defaults to 1.5 (the paper's, for tasks that differ much).
        lr (float): Learning rate of the scores behind the weights.
            Defaults to 0.025 (our choice).
        initial_iters (int): Iterations over which the losses at the start
            are averaged. Defaults to 50.
        begin_iter (int, optional): Iterations before these. Defaults to None:
            until the queues are full.
        heads (bool): Whether the tasks' own parts are weighed too, as in the
            paper, here by the weights of the step before. Defaults to True.

    Raises:
        ValueError: If a number cannot be used.
    """

    def __init__(self,
                 alpha: float = 1.5,
                 lr: float = 0.025,
                 initial_iters: int = 50,
                 begin_iter: Optional[int] = None,
                 heads: bool = True) -> None:
        super().__init__()
        self.heads = heads
        if lr <= 0 or initial_iters < 1 or alpha < 0:
            raise ValueError(f'GradNorm got lr={lr}, initial_iters='
                             f'{initial_iters} and alpha={alpha}: set '
                             'positive numbers, alpha to 0 or more.')
        self.alpha, self.lr = alpha, lr
        self.initial_iters, self.begin_iter = initial_iters, begin_iter
        self.steps = StepCounter()
        self.initial_steps = StepCounter()
        self._ratios: Optional[Tensor] = None

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        self.register_buffer('scores', torch.zeros(len(names)))
        # The mean losses at the start, and how many iterations are in them.
        self.register_buffer('initial', torch.zeros(len(names)))
        self.register_buffer('initial_seen', torch.zeros(len(names)))

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Leave the losses as they are, and see how far they have fallen.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, and ``trunk_weight`` of each task.

        Raises:
            ValueError: If the first loss of a task is negative.
        """
        self._ratios = None
        if self.training and self.may_read_ratios(self.steps.count,
                                                  self.begin_iter):
            totals = self.totals(losses).to(self.initial)
            self.require_positive(totals, or_zero=True)
            if self.initial_steps.count < self.initial_iters:
                self._add_initial(totals)
            else:
                self._ratios = totals / self.initial
        self.steps.count += self.training
        return super().forward(losses)

    def _add_initial(self, totals: Tensor) -> None:
        """Take the losses of one more iteration into their mean."""
        self.initial_steps.count += 1
        # A step that overflowed in half precision says nothing.
        finite = totals.isfinite()
        self.initial_seen += finite
        rise = (totals - self.initial) / self.initial_seen
        self.initial += torch.where(finite, rise, torch.zeros_like(rise))

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients, and learn.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        if self._ratios is None:
            return torch.ones_like(gram[0])
        weights, scores = grad_norm_weights(
            gram, self.scores.to(gram), self._ratios.to(gram), self.alpha,
            self.lr)
        self.scores.copy_(scores)
        return weights
