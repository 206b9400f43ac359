# Copyright (c) mmmultissl contributors. All rights reserved.
"""Shuffling a batch over processes, so that BN statistics leak nothing."""
from typing import Callable, Tuple

import torch
from mmengine.dist import all_gather, broadcast, get_rank, get_world_size
from torch import Tensor


def _all_rows(x: Tensor) -> Tensor:
    if get_world_size() == 1:
        return x
    return torch.cat(all_gather(x.contiguous()), dim=0)


@torch.no_grad()
def batch_shuffle(x: Tensor) -> Tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Redistribute a batch over the processes in a common random order.

    Shuffle-BN of MoCo (arXiv:1911.05722, section 3.3). In one process it only
    permutes, which changes nothing but rounding.

    Args:
        x (Tensor): The batch of this process, ``(N, ...)``; N is the same on
            all processes.

    Returns:
        tuple: The shuffled batch, ``(N, ...)``, and a function that puts any
        tensor computed from it, ``(N, ...)``, back into this process's order.
    """
    rows, rank = x.size(0), get_rank()
    # Drawn where it is used: copying indices to the device would wait for it.
    order = torch.randperm(rows * get_world_size(), device=x.device)
    broadcast(order, src=0)
    back = torch.argsort(order)

    def take(y: Tensor, index: Tensor) -> Tensor:
        return _all_rows(y)[index[rank * rows:(rank + 1) * rows]]

    return take(x, order), lambda y: take(y, back)


def no_shuffle(x: Tensor) -> Tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Leave a batch as it is, with the interface of :func:`batch_shuffle`.

    Args:
        x (Tensor): The batch, ``(N, ...)``.

    Returns:
        tuple: The same batch and the identity.
    """
    return x, lambda y: y
