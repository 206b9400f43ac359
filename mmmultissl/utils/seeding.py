# Copyright (c) mmmultissl contributors. All rights reserved.
"""Randomness as a function: seeds computed from integers, never from a state.

A run can be continued exactly only where its randomness does not depend on
what happened before. So no generator state is stored; instead every sample
and every step starts from a seed that is a hash of what it is: (seed, pass,
index) for a sample, (seed, rank, iteration) for a step.
"""
import random
from contextlib import contextmanager
from enum import IntEnum
from typing import Iterator

import numpy as np
import torch

_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """What a seed is for, so that no two uses ever share their numbers."""

    ORDER = 1
    SAMPLE = 2
    REPLACEMENT = 3
    STEP = 4
    BALANCER = 5


def hash_ints(*values: int) -> int:
    """Hash integers to 64 well mixed bits.

    A chain of SplitMix64 finalisers (Steele, Lea and Flood, "Fast splittable
    pseudorandom number generators", OOPSLA 2014). For fixed other values the
    result is a bijection of any one value below 2**64, so two samples of one
    pass never collide. Chaining the values is our choice.

    Args:
        *values (int): The integers; taken modulo 2**64. Their order counts.

    Returns:
        int: A number in [0, 2**64).
    """
    state = 0
    for value in values:
        state = ((state ^ (int(value) & _MASK)) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def seed_cpu(key: int) -> None:
    """Seed Python's, NumPy's and torch's CPU generators from one key.

    Python and NumPy both run a Mersenne Twister with the same initialisation,
    so the same seed would give both the same numbers; each of the three gets
    its own hash of the key. Devices are left alone.

    Args:
        key (int): Any integer, here a result of :func:`hash_ints`.
    """
    random.seed(hash_ints(key, 1))
    numpy_key = hash_ints(key, 2)
    np.random.seed([numpy_key & 0xFFFFFFFF, numpy_key >> 32])
    torch.default_generator.manual_seed(hash_ints(key, 3))


def seed_step(seed: int, rank: int, iteration: int) -> None:
    """Seed all generators, devices included, for one training step.

    It does not wait for a device: a generator's seed lives on the host.
    ``torch.manual_seed`` is avoided because on a machine without a GPU it
    formats a whole stack trace at each call.

    Args:
        seed (int): The seed of the run.
        rank (int): Rank of this process.
        iteration (int): Number of iterations done before this step.
    """
    key = hash_ints(seed, Stream.STEP, rank, iteration)
    seed_cpu(key)
    device_seed = hash_ints(key, 4)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(device_seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(device_seed)
    if hasattr(torch, 'xpu') and torch.xpu.is_initialized():
        torch.xpu.manual_seed_all(device_seed)


@contextmanager
def preserved_cpu_rng() -> Iterator[None]:
    """Give the three CPU generators back as they were at entry."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)


@contextmanager
def preserved_rng() -> Iterator[None]:
    """Give the generators of the CPU and of the present GPU back."""
    devices = [torch.cuda.current_device()
               ] if torch.cuda.is_initialized() else []
    with preserved_cpu_rng(), torch.random.fork_rng(devices):
        yield


def permutation(seed: int, pass_index: int, length: int) -> np.ndarray:
    """The order of one pass, a function of (seed, pass).

    NumPy promises that the stream of the legacy ``RandomState`` never changes
    (NEP 19); neither ``torch.randperm`` nor NumPy's newer generators promise
    that, and a run may be continued after an upgrade.

    Args:
        seed (int): The seed of the run.
        pass_index (int): Number of passes before this one.
        length (int): Number of samples.

    Returns:
        np.ndarray: A permutation of ``range(length)``, int64, (length, ).
    """
    key = hash_ints(seed, Stream.ORDER, pass_index)
    state = np.random.RandomState([key & 0xFFFFFFFF, key >> 32])
    return state.permutation(length)
