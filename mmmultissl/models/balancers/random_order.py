# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers that compare the tasks in a random order."""
import numpy as np
import torch
from torch import Tensor

from .base import GradientBalancer, TaskLosses
from .step_counter import StepCounter


class RandomOrderBalancer(GradientBalancer):
    """A gradient balancer that draws orders of the tasks at each step.

    Args:
        seed (int): The seed of the orders. Defaults to 0.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.steps = StepCounter()

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Leave the losses as they are, and count the step.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, and ``trunk_weight`` of each task.
        """
        self.steps.count += self.training
        return super().forward(losses)

    def others(self, device: torch.device) -> Tensor:
        """Draw for each task an order of the others.

        Args:
            device (torch.device): Where they are wanted.

        Returns:
            Tensor: int64, ``(T, T - 1)``.
        """
        generator = self.steps.generator(self.seed)
        tasks = range(len(self.names))
        orders = [
            generator.permutation([u for u in tasks if u != t]) for t in tasks
        ]
        return torch.from_numpy(np.stack(orders)).to(
            device, torch.int64, non_blocking=True)
