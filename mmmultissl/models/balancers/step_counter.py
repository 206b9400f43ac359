# Copyright (c) mmmultissl contributors. All rights reserved.
"""How many steps a balancer has seen, also after a resume."""
import numpy as np
import torch
import torch.nn as nn
from torch import Tensor

from mmmultissl.utils.seeding import Stream, hash_ints


class StepCounter(nn.Module):
    """A number of the host that is in the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def get_extra_state(self) -> Tensor:
        """Get the number for the state dict, as a CPU tensor."""
        return torch.tensor(self.count)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number from a state dict."""
        self.count = int(state)

    def generator(self, seed: int) -> np.random.RandomState:
        """Get a generator for this step.

        It is a function of (seed, step), so it is the same on all processes
        and after a resume, and nobody else's random numbers move.

        Args:
            seed (int): The seed.

        Returns:
            np.random.RandomState: A new generator.
        """
        key = hash_ints(seed, Stream.BALANCER, self.count)
        return np.random.RandomState([key & 0xFFFFFFFF, key >> 32])
