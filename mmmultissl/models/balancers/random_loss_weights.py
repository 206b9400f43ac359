# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights drawn anew at each step."""
import numpy as np
import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import LossBalancer, TaskLosses
from .step_counter import StepCounter


@MODELS.register_module()
class RandomLossWeights(LossBalancer):
    """Weighs losses by the softmax of normal numbers.

    `Reasonable Effectiveness of Random Weighting
    <https://arxiv.org/abs/2111.10603>`_, with its normal distribution. The
    weights are a function of (seed, step), the same on all processes and
    after a resume. They add up to the number of tasks and not to 1, so that a
    learning rate keeps its meaning (our choice); a task alone has the weight
    1.

    Args:
        seed (int): The seed. Defaults to 0.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self.steps = StepCounter()

    def weights(self, losses: TaskLosses) -> Tensor:
        """Draw the weights; a model that is judged has the weights 1.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: ``(T, )``.
        """
        numbers = np.zeros(len(self.names))
        if self.training:
            numbers = self.steps.generator(self.seed).randn(len(self.names))
            self.steps.count += 1
        weights = len(numbers) * torch.from_numpy(numbers).softmax(0)
        device = next(iter(losses[self.names[0]].values())).device
        return weights.to(device, non_blocking=True)
