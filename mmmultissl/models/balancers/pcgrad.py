# Copyright (c) mmmultissl contributors. All rights reserved.
"""Gradients without the parts that oppose each other."""
import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .gram import norms
from .random_order import RandomOrderBalancer


def pcgrad_weights(gram: Tensor, others: Tensor) -> Tensor:
    """Get the weights that projecting conflicting gradients amounts to.

    Algorithm 1 of the paper. A changed gradient is a combination of the
    original ones, so its inner products with them follow from the Gram
    matrix.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.
        others (Tensor): Row t: the other tasks, in the order in which t is
            compared with them, ``(T, T - 1)``.

    Returns:
        Tensor: ``(T, )``.
    """
    lengths, there = norms(gram)
    # Row t holds the combination that task t's gradient has become.
    mixed = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for other in others.t():
        product = (mixed * gram[other]).sum(1, keepdim=True)
        square = lengths[other, None]**2
        mixed = mixed.scatter_add(1, other[:, None],
                                  -product.clamp(max=0) / square)
    return mixed.sum(0) * there


@MODELS.register_module()
class PCGrad(RandomOrderBalancer):
    """Removes from each gradient what points against another one.

    `Gradient Surgery for Multi-Task Learning
    <https://arxiv.org/abs/2001.06782>`_. The orders are drawn from (seed,
    step). Without conflict the weights are 1: a plain sum. See
    :class:`GradientBalancer` for what is weighed.

    Args:
        seed (int): The seed of the orders. Defaults to 0.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        return pcgrad_weights(gram, self.others(gram.device))
