# Copyright (c) mmmultissl contributors. All rights reserved.
"""The stream of (index, pass): complete, split over ranks, positioned."""
from itertools import islice

import pytest

from mmmultissl.datasets import PassSampler


def sampler(length=11, seed=3, rank=0, world_size=1, **kwargs):
    result = PassSampler(range(length), seed=seed, **kwargs)
    result.rank, result.world_size = rank, world_size
    return result


def test_each_pass_has_each_sample_once():
    stream = list(islice(sampler(), 44))
    orders = [[i for i, p in stream if p == k] for k in range(4)]
    assert [p for _, p in stream] == sorted(p for _, p in stream)
    for order in orders:
        assert sorted(order) == list(range(11))
    assert len({tuple(order) for order in orders}) == 4


def test_order_is_a_function_of_seed_and_pass():
    first = list(islice(sampler(), 33))
    assert first == list(islice(sampler(), 33))
    assert first != list(islice(sampler(seed=4), 33))
    # The numbers of a pass are fixed for ever: a run may be continued with
    # another version of NumPy or torch.
    assert [i for i, _ in first[:11]] == GOLDEN


GOLDEN = [4, 7, 0, 3, 8, 2, 1, 10, 5, 6, 9]


@pytest.mark.parametrize('world_size', [2, 3, 13])
def test_ranks_share_the_global_stream(world_size):
    whole = list(islice(sampler(), 12 * world_size))
    for rank in range(world_size):
        part = list(islice(sampler(rank=rank, world_size=world_size), 12))
        assert part == whole[rank::world_size]


@pytest.mark.parametrize('world_size', [1, 2, 13])
@pytest.mark.parametrize('position', [0, 1, 5, 11, 12, 40])
def test_skip_equals_iterating(world_size, position):
    rank = world_size - 1
    whole = list(islice(sampler(rank=rank, world_size=world_size), 60))
    skipped = sampler(rank=rank, world_size=world_size)
    skipped.skip(position)
    assert list(islice(skipped, 60 - position)) == whole[position:]


def test_skip_does_not_iterate():
    far = sampler()
    far.skip(10**12)
    index, pass_index = next(iter(far))
    assert pass_index == 10**12 // 11 and 0 <= index < 11
    with pytest.raises(ValueError, match='negative'):
        far.skip(-1)


def test_length_and_order_without_shuffling():
    assert len(sampler()) == 11
    assert len(sampler(world_size=3)) == 4
    stream = list(islice(sampler(length=3, shuffle=False), 5))
    assert stream == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]


def test_empty_dataset():
    with pytest.raises(ValueError, match='is empty'):
        PassSampler([], seed=0)
