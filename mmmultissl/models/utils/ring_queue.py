# Copyright (c) mmmultissl contributors. All rights reserved.
"""A first-in first-out memory of keys for any batch size."""
from contextlib import contextmanager
from typing import Iterator, List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


class RingQueue(nn.Module):
    """The last keys of all processes, as columns of one buffer.

    The number of keys written is a number of the host, so that writing never
    makes the device wait, and the position wraps around, so that the length
    need not be a multiple of the batch. Buffer and number are in the state
    dict; one that holds a position only, as earlier versions wrote, counts as
    having written that many.

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
        self.written = 0
        self._held: Optional[List[Tensor]] = None

    @property
    def length(self) -> int:
        """int: Number K of keys."""
        return self.keys.size(1)

    @property
    def position(self) -> int:
        """int: Column that is written next."""
        return self.written % self.length

    @property
    def is_full(self) -> bool:
        """bool: Whether none of the random keys of the start is left."""
        return self.written >= self.length

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        """Write the keys of all processes over the oldest ones.

        Args:
            keys (Tensor): Keys of this process, ``(N, C)``; N is the same on
                all processes.
        """
        if self._held is not None:
            self._held.append(keys)
            return
        if get_world_size() > 1:
            keys = torch.cat(all_gather(keys.contiguous()), dim=0)
        # Of a batch longer than the queue only the newest keys can stay; the
        # position still moves by the whole batch.
        start = self.position + max(0, keys.size(0) - self.length)
        self.written += keys.size(0)
        columns = keys[-self.length:].t()

        start %= self.length
        until_end = min(columns.size(1), self.length - start)
        self.keys[:, start:start + until_end] = columns[:, :until_end]
        self.keys[:, :columns.size(1) - until_end] = columns[:, until_end:]

    def get_extra_state(self) -> Tensor:
        """Get the number of keys written for the state dict, on the CPU."""
        return torch.tensor(self.written)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of keys written from a state dict."""
        self.written = int(state)

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'dim={self.keys.size(0)}, length={self.length}'


@contextmanager
def enqueued_at_the_end(module: nn.Module) -> Iterator[None]:
    """Let the queues of a module as they are, and write when all is done.

    A sample's views are several batches of one iteration: without this, the
    second would find the first one's keys of the same samples in the queue.

    Args:
        module (nn.Module): It, or modules in it, are queues; or none is.

    Yields:
        None: While nothing is written.
    """
    queues = [each for each in module.modules() if isinstance(each, RingQueue)]
    for queue in queues:
        queue._held = []
    try:
        yield
    finally:
        for queue in queues:
            held, queue._held = queue._held, None
            for keys in held:
                queue.enqueue(keys)
