# Copyright (c) mmmultissl contributors. All rights reserved.
"""How strongly the tasks pull at the shared features, and whether they agree.

Gradients with respect to the trunk's features, all views together, not with
respect to its weights: the trunk is not gone through for them.
"""
from typing import Dict, List, Optional, Sequence

import torch
from torch import Tensor

from mmmultissl.models.balancers import GradientBalancer
from mmmultissl.models.selfsup import EncodedViews, MultiSSL
from mmmultissl.models.selfsup.gradient_fork import gram_matrix

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

    The heads are gone through backwards once for each task in a measured
    step, before the step's own backward pass, which is not touched; the trunk
    is not gone through. Where a balancer works on gradients, it has their
    products already. Under ``model.compile`` the heads cannot be gone through
    twice, so the model is asked for a step whose gradients are added by its
    fork, where the last bits may differ.

    The gradients are those of the tasks' own losses, before a balancer weighs
    them; under ``model.compile`` with a balancer of losses those of the
    weighted ones.

    Args:
        interval (int): Iterations between two measurements.
            Defaults to 100.
    """

    # The products are summed over all processes.
    on_all_ranks = True
    # Nothing of the encoded views is needed.
    steps_seen = 0

    def __init__(self, interval: int = 100) -> None:
        super().__init__(interval)
        self._by_fork = self._wanted = False
        self._gram: Optional[Tensor] = None
        self._wrapper = None
        self._scale = 1.

    def before_train(self, runner, model: MultiSSL) -> None:
        """See how the gradients can be had.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Its model.
        """
        self._wrapper = runner.optim_wrapper
        self._by_fork = isinstance(model.balancer, GradientBalancer) or any(
            getattr(part, '_compiled_call_impl', None) is not None
            for part in model.modules())
        self._stop = model.watch(self._look)

    def before_step(self, model: MultiSSL, iteration: int, last: int) -> None:
        """Get ready for a step that will be measured.

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
        if self._by_fork:
            # Under accumulation the wrapper divides the losses.
            self._scale *= float(self._wrapper.scale_loss(torch.tensor(1.)))
            model.last_gram = None
            model.request_gram()
        else:
            self._wanted = True

    def _look(self, views: EncodedViews, losses: dict) -> None:
        if not self._wanted:
            return
        self._wanted = False
        features = [
            part for maps in views.queries.values() for part in maps
            if part.requires_grad
        ]
        # mmengine calls the model under autocast, and a backward pass belongs
        # outside of it. Half-precision gradients need the scale.
        device = next(iter(views.inputs.values())).device.type
        with torch.autocast(device, enabled=False):
            gradients = [
                self._gradients(task, features) for task in losses.values()
            ]
            if any(g is not None for task in gradients for g in task):
                self._gram = gram_matrix(gradients)

    def _gradients(self, losses: Dict[str, Tensor],
                   features: List[Tensor]) -> Sequence[Optional[Tensor]]:
        total = sum(v for name, v in losses.items() if 'loss' in name)
        if not features or not getattr(total, 'requires_grad', False):
            return [None] * len(features)
        return torch.autograd.grad(
            total * self._scale,
            features,
            retain_graph=True,
            allow_unused=True)

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Read norms and cosines.

        Args:
            model (MultiSSL): The model, after the backward pass.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``gradient/norm/{task}`` and
            ``gradient/cosine/{task}:{task}``; nothing where a gradient is not
            finite, as when a loss scale was too large.
        """
        gram, self._gram = self._gram, None
        if self._by_fork:
            gram = model.last_gram
        if gram is None or not torch.isfinite(gram).all():
            return {}
        return {
            f'gradient/{name}': value for name, value in norms_and_cosines(
                gram / self._scale**2, list(model.tasks)).items()
        }

    def after_train(self) -> None:
        """Look no more."""
        self._stop()
