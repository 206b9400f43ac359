# Copyright (c) mmmultissl contributors. All rights reserved.
"""The gradient near the mean that helps the worst task most."""
import numpy as np
import torch
from scipy.optimize import brentq
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer
from .gram import norms
from .min_norm import min_norm_weights, vectors_of

# Smallest length of the worst-case gradient, relative to the shortest
# gradient: below it all directions are equally bad.
_SHORTEST = 1e-4


def cagrad_weights(gram: np.ndarray, c: float) -> np.ndarray:
    r"""Get the weights of the conflict-averse direction.

    The paper's dual problem:
    :math:`\min_w \langle g_w, g_0 \rangle + \kappa \|g_w\|` over weights of
    sum 1, with :math:`g_0` the mean and :math:`\kappa = c \|g_0\|`, then
    :math:`d = g_0 + \kappa g_w / \|g_w\|`.

    How it is solved is our choice. Since :math:`\|g_w\|` is the least
    :math:`(\|g_w\|^2 / s + s) / 2` over positive :math:`s`, the problem is
    one of least norm for a given :math:`s`, of the vectors
    :math:`g_t + s g_0 / \kappa`; the right :math:`s` is the length of its
    own solution and is found by Brent's method.

    Args:
        gram (np.ndarray): Inner products of the gradients, ``(T, T)``, none
            of them zero.
        c (float): Radius around the mean, relative to its length.

    Returns:
        np.ndarray: Weights of :math:`d`, ``(T, )``.
    """
    tasks = len(gram)
    vectors = vectors_of(gram / np.trace(gram) * tasks)
    mean = vectors.mean(1, keepdims=True)
    radius = c * np.linalg.norm(mean)
    equal = np.full(tasks, 1 / tasks)
    # No room: the mean itself, which is zero if c is not.
    if radius < 1e-10:
        return equal

    def worst(s: float) -> np.ndarray:
        return min_norm_weights(vectors + s / radius * mean)

    def excess(log_s: float) -> float:
        length = np.linalg.norm(vectors @ worst(np.exp(log_s)))
        return np.log(max(length, 1e-30)) - log_s

    lengths = np.linalg.norm(vectors, axis=0)
    low = np.log(_SHORTEST * lengths.min())
    # No combination is longer than the longest gradient.
    high = np.log(lengths.max()) + 1e-6
    log_s = brentq(excess, low, high, xtol=1e-12) if excess(low) > 0 else low
    return equal + radius / np.exp(log_s) * worst(np.exp(log_s))


@MODELS.register_module()
class CAGrad(GradientBalancer):
    """Looks near the mean gradient for the one that helps the worst task most.

    `Conflict-Averse Gradient Descent for Multi-task Learning
    <https://arxiv.org/abs/2110.14048>`_. The weights are computed on the
    host, in float64, for which it waits once a step. See
    :class:`GradientBalancer` for what is weighed.

    Args:
        c (float): Radius around the mean gradient, relative to its length;
            0 is a plain sum. Defaults to 0.5 (the paper's; it converges to a
            minimum of the mean loss below 1).
        rescale (int): What the result is divided by: 0, nothing; 1,
            ``1 + c**2``, as in the authors' code; 2, ``1 + c``.
            Defaults to 1.
        as_mean (bool): Whether it is near the mean of the gradients, as in
            the paper; otherwise near their sum. Defaults to False.

    Raises:
        ValueError: If ``c`` is negative or ``rescale`` none of these.
    """

    def __init__(self,
                 c: float = 0.5,
                 rescale: int = 1,
                 as_mean: bool = False) -> None:
        super().__init__()
        if c < 0 or rescale not in (0, 1, 2):
            raise ValueError(f'CAGrad got c={c} and rescale={rescale}: set c '
                             'to 0 or more, and rescale to 0, 1 or 2.')
        self.c = c
        self.divisor = (1., 1 + c**2, 1 + c)[rescale]
        self.as_mean = as_mean

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        used = np.flatnonzero(norms(gram)[1].cpu().numpy())
        weights = np.zeros(len(gram))
        if len(used) == 1:
            weights[used] = 1
        elif len(used):
            on_host = gram.cpu().numpy()[np.ix_(used, used)]
            weights[used] = cagrad_weights(on_host, self.c) / self.divisor
            if not self.as_mean:
                weights *= len(used)
        return torch.from_numpy(weights).to(gram.device)
