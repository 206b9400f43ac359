# Copyright (c) mmmultissl contributors. All rights reserved.
"""How strongly the tasks pull at the shared features, and whether they agree.

Gradients with respect to the trunk's features, all views together, not with
respect to its weights: one backward pass shows them.
"""
from typing import Dict, Sequence

import torch
from torch import Tensor

from mmmultissl.models.selfsup import MultiSSL
from .measurement import Measurement, Numbers


def norms_and_cosines(gram: Tensor, names: Sequence[str]) -> Dict[str, float]:
    """Read norms and cosines from the products of the tasks' gradients.

    Args:
        gram (Tensor): Inner products, ``(T, T)``.
        names (Sequence[str]): The tasks, in the order of the rows.

    Returns:
        dict[str, float]: ``norm/{task}`` and ``cosine/{task}:{task}``; no
        cosine with a gradient of zero.
    """
    gram = gram.detach().double().cpu()
    norms = gram.diagonal().clamp(min=0).sqrt()
    numbers = {f'norm/{n}': float(v) for n, v in zip(names, norms)}
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            size = float(norms[i] * norms[j])
            if size > 0:
                numbers[f'cosine/{first}:{names[j]}'] = float(
                    gram[i, j]) / size
    return numbers


class TaskGradients(Measurement):
    """Norm of each task's gradient, and the cosine of each two.

    Where the balancer has a gradient fork, its last Gram matrix is read;
    otherwise the model is asked to make one step with a fork that sums
    plainly, which gives the trunk the same gradient.

    The gradients are those of the weighted losses where the balancer weighs
    losses, and of the unweighted ones at a fork. Under gradient accumulation
    they are of one part of the batch, divided as the wrapper divides losses.

    Args:
        interval (int): Iterations between two measurements.
            Defaults to 100.
    """

    # The Gram matrix is summed over all processes.
    on_all_ranks = True
    # Nothing of the encoded views is needed.
    steps_seen = 0

    def __init__(self, interval: int = 100) -> None:
        super().__init__(interval)
        self._wrapper = None
        self._scale = 1.

    def before_train(self, runner, model: MultiSSL) -> None:
        """Keep what scales the losses under mixed precision.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Not used.
        """
        self._wrapper = runner.optim_wrapper

    def before_step(self, model: MultiSSL, iteration: int, last: int) -> None:
        """Ask for the Gram matrix of a step that will be measured.

        Args:
            model (MultiSSL): The model.
            iteration (int): The iteration, from 1.
            last (int): The last one.
        """
        if not self.is_due(iteration, last):
            return
        scaler = getattr(self._wrapper, 'loss_scaler', None)
        # It moves in the step, so it is read before.
        self._scale = float(scaler.get_scale()) if hasattr(
            scaler, 'get_scale') else 1.
        model.last_gram = None
        model.request_gram()

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Read the Gram matrix.

        Args:
            model (MultiSSL): The model, after the backward pass.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``gradient/norm/{task}`` and
            ``gradient/cosine/{task}:{task}``; nothing where a gradient is not
            finite, as when a loss scale was too large.
        """
        gram = model.last_gram
        if gram is None or not torch.isfinite(gram).all():
            return {}
        gram = gram / self._scale**2
        return {
            f'gradient/{name}': value for name, value in norms_and_cosines(
                gram, model.last_gram_names).items()
        }
