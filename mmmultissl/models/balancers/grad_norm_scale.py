# Copyright (c) mmmultissl contributors. All rights reserved.
"""Gradients brought to one length."""
from typing import List, Tuple

import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer
from .gram import norms, sum_to_count


def grad_norm_scale_weights(gram: Tensor, running: Tensor,
                            momentum: float) -> Tuple[Tensor, Tensor]:
    """Get weights that are inverse to the running lengths.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.
        running (Tensor): Running means of the lengths, each step's relative
            to their mean, ``(T, )``; 0 where there was none yet.
        momentum (float): Share of a step's lengths in them.

    Returns:
        tuple[Tensor]: The weights, ``(T, )``, and the new running means.
    """
    lengths, there = norms(gram)
    mean = (lengths * there).sum() / there.sum().clamp(min=1)
    relative = lengths / mean
    new = torch.where(running == 0, relative,
                      running.lerp(relative, momentum))
    running = torch.where(there, new, running)
    weights = 1 / torch.where(there, running, torch.ones_like(running))
    return sum_to_count(weights, there), running


@MODELS.register_module()
class GradNormScale(GradientBalancer):
    """Divides each gradient by the running mean of its length.

    The tasks then pull equally hard. The direction does not depend on the
    size of the losses. Weights add up to the number of tasks. That scaling by
    gradient norms comes close to a search over weights is reported by
    `arXiv:2509.23915 <https://arxiv.org/abs/2509.23915>`_; running means of
    relative lengths are our choice. See :class:`GradientBalancer` for what is
    weighed.

    Args:
        momentum (float): Share of a step's lengths in the running means, in
            (0, 1]; 1 makes all gradients equally long at every step.
            Defaults to 0.1.
        heads (bool): Whether the tasks' own parts are weighed too, by the
            weights of the step before; otherwise a loss multiplied by 100
            trains its head with a hundred times the learning rate.
            Defaults to True (our choice).

    Raises:
        ValueError: If the momentum is outside (0, 1].
    """

    def __init__(self, momentum: float = 0.1, heads: bool = True) -> None:
        super().__init__()
        self.heads = heads
        if not 0 < momentum <= 1:
            raise ValueError(f'The momentum of GradNormScale is {momentum}: '
                             'set a number in (0, 1].')
        self.momentum = momentum

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        self.register_buffer('running', torch.zeros(len(names)))

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        weights, running = grad_norm_scale_weights(
            gram, self.running.to(gram), self.momentum)
        self.running.copy_(running)
        return weights
