# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights by how fast the losses fall."""
from typing import List, Optional

import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import LossBalancer, TaskLosses
from .step_counter import StepCounter


@MODELS.register_module()
class DynamicWeightAverage(LossBalancer):
    r"""Gives more weight to a task whose loss falls slowly.

    `End-to-End Multi-Task Learning with Attention
    <https://arxiv.org/abs/1803.10704>`_, equation 7:
    :math:`w_t = T \, \mathrm{softmax}_t(r_t / \tau)` with :math:`r_t` the
    mean loss of the last window of iterations over that of the one before.
    In the first two windows all weights are 1.

    A contrastive loss rises while its queue fills, so the first window begins
    when all queues are full (our choice). Losses have to be positive. A task
    alone has the weight 1. Weights do not change when a loss is multiplied
    by a number.

    Args:
        interval (int, optional): Iterations of a window. Defaults to None: a
            pass over the data, the paper's epoch.
        temperature (float): :math:`\tau`. Defaults to 2 (the paper's).
        begin_iter (int, optional): Iterations before the first window.
            Defaults to None: until the queues are full.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(self,
                 interval: Optional[int] = None,
                 temperature: float = 2.,
                 begin_iter: Optional[int] = None) -> None:
        super().__init__()
        if temperature <= 0 or (interval is not None and interval < 1):
            raise ValueError(
                f'DynamicWeightAverage got interval={interval} and '
                f'temperature={temperature}: set positive numbers.')
        self.interval = interval
        self.temperature = temperature
        self.begin_iter = begin_iter
        self.steps = StepCounter()
        self.in_window = StepCounter()
        self.windows = StepCounter()

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        for name in ('loss_sum', 'mean_before'):
            self.register_buffer(name, torch.zeros(len(names)))
        self.register_buffer('current', torch.ones(len(names)))

    def set_pass_length(self, iterations: Optional[int]) -> None:
        """Take a pass as the window where the config names none.

        Args:
            iterations (int, optional): Iterations of a pass.
        """
        self.interval = self.interval or iterations

    def weights(self, losses: TaskLosses) -> Tensor:
        """Get the weights, and add the losses to the window.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: ``(T, )``.

        Raises:
            ValueError: If the length of a window is not known, or the first
                loss of a task is negative.
        """
        if not self.training:
            return self.current.clone()
        if self.interval is None:
            raise ValueError(
                'DynamicWeightAverage does not know how long a pass is, since '
                'this is not a run of PretrainLoop: set model.balancer.'
                'interval to a number of iterations.')
        now = self.current.clone()
        if self.may_read_ratios(self.steps.count, self.begin_iter):
            totals = self.totals(losses)
            self.require_positive(totals, or_zero=True)
            self.loss_sum += totals.to(self.loss_sum)
            self.in_window.count += 1
            if self.in_window.count == self.interval:
                self._close_window()
        self.steps.count += 1
        return now

    def _close_window(self) -> None:
        mean = self.loss_sum / self.interval
        if self.windows.count:
            # A loss that is 0 has not fallen.
            ratio = torch.where(self.mean_before == 0, torch.ones_like(mean),
                                mean / self.mean_before)
            self.current.copy_(
                len(mean) * (ratio / self.temperature).softmax(0))
        self.mean_before.copy_(mean)
        self.loss_sum.zero_()
        self.in_window.count = 0
        self.windows.count += 1
