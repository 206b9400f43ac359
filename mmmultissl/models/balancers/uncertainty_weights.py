# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights by learned uncertainty."""
from typing import List

import torch
import torch.nn as nn

from mmmultissl.registry import MODELS

from .base import Balancer, TaskLosses


@MODELS.register_module()
class UncertaintyWeights(Balancer):
    r"""Learns the variance of each task, and divides its loss by it.

    `Multi-Task Learning Using Uncertainty to Weigh Losses
    <https://arxiv.org/abs/1705.07115>`_, equation 7, with
    :math:`s = \log \sigma^2`, which the paper recommends to train:
    :math:`\sum_t \frac{1}{2} e^{-s_t} L_t + \frac{1}{2} s_t`. It is smallest
    where :math:`e^{s_t} = L_t`.

    The :math:`s` are parameters of the model and trained by its optimiser,
    which must not decay them: ``configs/_base_/balancers/uncertainty.py`` sees
    to that. Losses have to be positive: under one that stays at 0 or below
    :math:`s` falls to ``lowest``. The second term is in the losses as
    ``{task}.loss_uncertainty``, the weight is logged as ``{task}.weight``.

    Args:
        start (float): :math:`s` at the start. Defaults to -0.5 (LibMTL's).
        lowest (float): Smallest :math:`s`: a variance below the loss's noise
            means nothing, and a weight would overflow. Defaults to -10 (our
            choice; a loss of 0.00005 in its minimum).

    Raises:
        ValueError: If the start is below the lowest.
    """

    def __init__(self, start: float = -0.5, lowest: float = -10.) -> None:
        super().__init__()
        if start < lowest:
            raise ValueError(
                f'UncertaintyWeights starts at {start}, below the lowest '
                f'value {lowest}: raise start, or lower lowest.')
        self.start, self.lowest = start, lowest

    def set_tasks(self, names: List[str]) -> None:
        """Make one parameter for each task.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        self.log_variance = nn.Parameter(
            torch.full((len(names), ), float(self.start)))

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse weight decay on the variances.

        Args:
            optimizer (torch.optim.Optimizer): One that trains the model.

        Raises:
            ValueError: If it decays them.
        """
        for group in optimizer.param_groups:
            if group.get('weight_decay') and any(
                    p is self.log_variance for p in group['params']):
                raise ValueError(
                    'The optimiser decays the variances of UncertaintyWeights '
                    f'(weight_decay {group["weight_decay"]}), which would '
                    'pull every task towards the weight 1/2: set optim_wrapper'
                    ".paramwise_cfg.custom_keys to {'balancer.log_variance': "
                    'dict(decay_mult=0.)}, as configs/_base_/balancers/'
                    'uncertainty.py does.')

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Weigh the losses, and add what keeps the variances finite.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, weighted, with ``loss_uncertainty`` and
            ``weight`` of each task.
        """
        if self.training:
            # The value itself, so that it may rise again at once.
            with torch.no_grad():
                self.log_variance.clamp_(min=self.lowest)
        return {
            task: dict(
                {
                    name: 0.5 * (-s).exp() * value if 'loss' in name else value
                    for name, value in losses[task].items()
                },
                loss_uncertainty=0.5 * s,
                weight=0.5 * (-s.detach()).exp())
            for task, s in zip(self.names, self.log_variance)
        }
