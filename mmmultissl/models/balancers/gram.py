# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is read from a Gram matrix of gradients, without waiting for a device.

A task whose gradient is zero (a loss of weight 0, a view that has no part in
it) has no direction: methods leave it out, as if it were not there.
"""
from typing import Tuple

import torch
from torch import Tensor


def norms(gram: Tensor) -> Tuple[Tensor, Tensor]:
    """Get the length of each gradient.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.

    Returns:
        tuple[Tensor]: The lengths, ``(T, )``, 1 where there is no gradient,
        and whether there is one, bool.
    """
    squares = gram.diagonal()
    # Rounding leaves no gradient this much smaller than another.
    there = squares > 1e-24 * squares.max()
    return torch.where(there, squares, torch.ones_like(squares)).sqrt(), there


def sum_to_count(weights: Tensor, there: Tensor) -> Tensor:
    """Scale weights so that they add up to the number of tasks.

    Then a learning rate means what it means for a plain sum.

    Args:
        weights (Tensor): ``(T, )``.
        there (Tensor): Whether a task has a gradient, ``(T, )``; the others
            get the weight 0.

    Returns:
        Tensor: ``(T, )``.
    """
    weights = weights * there
    return weights * (there.sum() / weights.sum())
