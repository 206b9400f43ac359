# Copyright (c) mmmultissl contributors. All rights reserved.
"""A gradient with equal projections on those of all tasks."""
import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer
from .gram import norms

# Added to the squared cosine of a gradient with itself, so that tasks with
# equal gradients share the weight. Well above the rounding of a Gram matrix of
# float32, or nearly parallel gradients would get weights made of noise.
_RIDGE = 1e-5
# What the ridge takes from gradients that are not parallel comes back in these
# further solutions for what is left (iterated Tikhonov).
_REFINEMENTS = 2


def imtl_g_weights(gram: Tensor) -> Tensor:
    r"""Get the weights of the impartial combination.

    The paper's condition: projections on all unit gradients are equal,
    weights add up to 1. With the cosines C that is
    :math:`w_t \propto (C^{-1} 1)_t / \|g_t\|`, which is the paper's closed
    form without a task singled out. Where one gradient lies between others
    and is the longest or shortest of them, its weights may sum to less than 0;
    they are then scaled to a sum of -1, so that every projection stays
    positive (our choice).

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.

    Returns:
        Tensor: ``(T, )``, of sum 1 or -1; some may be negative.
    """
    lengths, there = norms(gram)
    one = there.to(gram)
    cosines = gram / lengths / lengths[:, None] * one * one[:, None]
    cosines = cosines + torch.diag_embed(1 - one)
    ridge = torch.diag_embed(torch.full_like(one, _RIDGE))
    units = torch.zeros_like(one)
    for _ in range(1 + _REFINEMENTS):
        # solve_ex leaves out the check for which the host would wait.
        units = units + torch.linalg.solve_ex(
            cosines + ridge, one - cosines @ units)[0]
    weights = units / lengths * one
    # Not by the sum itself: where it is negative, that would turn the equal
    # projections, which are positive, against all tasks.
    return weights / weights.sum().abs()


@MODELS.register_module()
class IMTLG(GradientBalancer):
    """Combines gradients so that the result has equal projections on all.

    The gradient half (IMTL-G) of `Towards Impartial Multi-task Learning
    <https://openreview.net/forum?id=IMPnRXEWpvr>`_. The direction does not
    depend on the size of the losses. As in the paper, weights may be
    negative, and large where strongly conflicting gradients differ in length.
    See :class:`GradientBalancer` for what is weighed.

    Args:
        as_mean (bool): Whether weights add up to 1, as in the paper;
            otherwise to the number of tasks. Defaults to False.
    """

    def __init__(self, as_mean: bool = False) -> None:
        super().__init__()
        self.as_mean = as_mean

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        weights = imtl_g_weights(gram)
        return weights if self.as_mean else weights * norms(gram)[1].sum()
