# Copyright (c) mmmultissl contributors. All rights reserved.
"""Features as rows of a matrix, of this process or of all."""
import torch
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def vector_rows(features: Tensor) -> Tensor:
    """List all feature vectors.

    Args:
        features (Tensor): ``(N, C)``, or ``(N, C, H, W)`` with S = HW cells.

    Returns:
        Tensor: ``(N, C)``, or ``(N * S, C)``, the cells of a sample together.
    """
    if features.dim() == 2:
        return features
    return features.flatten(2).transpose(1, 2).flatten(0, 1)


def pooled_rows(features: Tensor) -> Tensor:
    """Get one vector per sample, the mean of its cells.

    Args:
        features (Tensor): ``(N, C)`` or ``(N, C, H, W)``.

    Returns:
        Tensor: ``(N, C)``.
    """
    return features if features.dim() == 2 else features.mean((2, 3))


def unit_rows(rows: Tensor) -> Tensor:
    """Bring rows to length 1.

    Args:
        rows (Tensor): ``(N, C)``.

    Returns:
        Tensor: ``(N, C)``; a row of zeros stays one.
    """
    return F.normalize(rows, dim=1)


def gather_rows(rows: Tensor) -> Tensor:
    """Get the rows of all processes, with the gradient of this one's.

    In the backward pass the gradients that all processes have for the rows
    of one process are summed there.

    Args:
        rows (Tensor): ``(N, C)``, N the same on all processes.

    Returns:
        Tensor: ``(R * N, C)`` for R processes, in the order of their ranks.
    """
    if get_world_size() == 1:
        return rows
    if rows.requires_grad and torch.is_grad_enabled():
        return torch.cat(dist_nn.all_gather(rows.contiguous()))
    return torch.cat(all_gather(rows.contiguous()))
