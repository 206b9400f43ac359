# Copyright (c) mmmultissl contributors. All rights reserved.
"""Features as rows of a matrix, of this process or of all."""
from typing import Tuple

import torch
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from mmengine.dist import all_gather, all_reduce, get_world_size
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


def about_teacher_mean(student: Tensor,
                       teacher: Tensor) -> Tuple[Tensor, Tensor]:
    """Measure features from the mean of the teacher's.

    Means of maps behind a ReLU are all positive, so that they point nearly
    the same way for all samples; what tells samples apart is the little that
    is left. The mean is that of the teacher's features of the batch, of all
    processes, which must have equally many.

    Args:
        student (Tensor): ``(N, C)`` or ``(N, C, H, W)``.
        teacher (Tensor): The same of the teacher.

    Returns:
        tuple[Tensor, Tensor]: Both less the mean.
    """
    mean_C = pooled_rows(teacher).mean(0)
    all_reduce(mean_C, 'mean')
    mean = mean_C.view(-1, *[1] * (teacher.dim() - 2))
    return student - mean, teacher - mean


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


def other_samples(count: int, device: torch.device) -> Tensor:
    """List for each sample the numbers of all others.

    As numbers and not as a mask, whose length a device would have to tell the
    host.

    Args:
        count (int): Number N of samples.
        device (torch.device): Where the list is needed.

    Returns:
        Tensor: ``(N, N - 1)`` integers.
    """
    numbers = torch.arange(count, device=device)
    others = numbers[:-1].expand(count, -1)
    return others + (others >= numbers.unsqueeze(1))
