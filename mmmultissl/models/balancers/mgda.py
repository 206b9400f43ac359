# Copyright (c) mmmultissl contributors. All rights reserved.
"""The shortest gradient between those of the tasks."""
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer, TaskLosses
from .gram import norms, sum_to_count
from .min_norm import min_norm_weights, vectors_of


def mgda_weights(gram: Tensor) -> Tensor:
    """Get the weights of the shortest convex combination.

    For two tasks the closed form of the paper's algorithm 1, for more the
    exact solution of :func:`min_norm_weights` on the host, for which it waits.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.

    Returns:
        Tensor: ``(T, )``, not negative, of sum 1.
    """
    _, there = norms(gram)
    if len(gram) == 2:
        product = gram[0, 1]
        difference = gram[0, 0] + gram[1, 1] - 2 * product
        # Equal gradients: any weights do.
        first = torch.where(
            difference > 1e-12 * gram.diagonal().max(),
            (gram[1, 1] - product) / difference,
            torch.full_like(product, 0.5)).clamp(0, 1)
        first = torch.where(there.all(), first, there[0].to(first))
        return torch.stack([first, 1 - first])
    on_host = gram.cpu().numpy()
    used = np.flatnonzero(there.cpu().numpy())
    weights = np.zeros(len(gram))
    if len(used):
        weights[used] = min_norm_weights(
            vectors_of(on_host[np.ix_(used, used)]))
    return torch.from_numpy(weights).to(gram.device)


@MODELS.register_module()
class MGDA(GradientBalancer):
    r"""Takes the shortest vector between the gradients, which improves all
    tasks as long as any direction does.

    `Multi-Task Learning as Multi-Objective Optimization
    <https://arxiv.org/abs/1810.04650>`_: its upper bound (section 3.3) is
    this balancing on shared features. It follows the smallest gradient: a
    task whose loss is multiplied by 100 counts less. See
    :class:`GradientBalancer` for what is weighed.

    Args:
        normalise (str): What gradients are divided by before the weights are
            computed: 'none', 'l2' (their length), 'loss' (the task's loss, of
            all processes) or 'loss+' (both). The weights apply to the
            gradients as they are. Defaults to 'none'.
        as_mean (bool): Whether weights add up to 1, as in the paper;
            otherwise to the number of tasks, so that tasks that agree make
            the step of a plain sum. Defaults to False.

    Raises:
        ValueError: If ``normalise`` is none of these.
    """

    def __init__(self, normalise: str = 'none', as_mean: bool = False) -> None:
        super().__init__()
        if normalise not in ('none', 'l2', 'loss', 'loss+'):
            raise ValueError(f'MGDA does not know normalise="{normalise}": '
                             'set none, l2, loss or loss+.')
        self.normalise = normalise
        self.as_mean = as_mean
        self._totals: Optional[Tensor] = None

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Leave the losses as they are, and look at them.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, and ``trunk_weight`` of each task.

        Raises:
            ValueError: If losses are divided by, and the first of a task is
                negative.
        """
        if 'loss' in self.normalise:
            self._totals = self.totals(losses)
            self.require_positive(self._totals, or_zero=True)
        return super().forward(losses)

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        lengths, there = norms(gram)
        divisor = torch.ones_like(lengths)
        if 'loss' in self.normalise:
            divisor = divisor * self._totals.to(gram)
        if self.normalise in ('l2', 'loss+'):
            divisor = divisor * lengths
        # A task without gradient may have a loss of 0, too.
        divisor = torch.where(there, divisor, torch.ones_like(divisor))
        weights = mgda_weights(gram / divisor / divisor[:, None])
        return weights if self.as_mean else sum_to_count(weights, there)
