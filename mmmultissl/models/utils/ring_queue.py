# Copyright (c) mmmultissl contributors. All rights reserved.
"""A first-in first-out memory of keys for any batch size."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


class RingQueue(nn.Module):
    """The last keys of all processes, as columns of one buffer.

    The write position is a number of the host, so that writing never makes
    the device wait, and it wraps around, so that the length need not be a
    multiple of the batch. Buffer and position are in the state dict.

    Args:
        dim (int): Length C of a key.
        length (int): Number K of keys kept. It starts with random unit keys,
            as MoCo's does (arXiv:1911.05722).

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(self, dim: int, length: int) -> None:
        super().__init__()
        if dim < 1 or length < 1:
            raise ValueError(f'A queue of {length} keys of length {dim} '
                             'cannot be made: set queue_len and feat_dim to '
                             'at least 1.')
        self.register_buffer('keys',
                             F.normalize(torch.randn(dim, length), dim=0))
        self.position = 0

    @property
    def length(self) -> int:
        """int: Number K of keys."""
        return self.keys.size(1)

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write the keys of all processes over the oldest ones.

        Args:
            keys (Tensor): Keys of this process, ``(N, C)``; N is the same on
                all processes.
        """
        if get_world_size() > 1:
            keys = torch.cat(all_gather(keys.contiguous()), dim=0)
        # Of a batch longer than the queue only the newest keys can stay; the
        # position still moves by the whole batch.
        start = self.position + max(0, keys.size(0) - self.length)
        self.position = (self.position + keys.size(0)) % self.length
        columns = keys[-self.length:].t()

        start %= self.length
        until_end = min(columns.size(1), self.length - start)
        self.keys[:, start:start + until_end] = columns[:, :until_end]
        self.keys[:, :columns.size(1) - until_end] = columns[:, until_end:]

    def get_extra_state(self) -> Tensor:
        """Get the write position for the state dict, as a CPU tensor."""
        return torch.tensor(self.position)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the write position from a state dict."""
        self.position = int(state) % self.length

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'dim={self.keys.size(0)}, length={self.length}'
