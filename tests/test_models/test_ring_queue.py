# Copyright (c) mmmultissl contributors. All rights reserved.
"""The queue holds the newest keys for any batch size."""
import random

import pytest
import torch

from mmmultissl.models.utils import RingQueue


def test_holds_the_newest_keys_whatever_the_batches():
    rng = random.Random(0)
    for length in (1, 5, 16):
        queue = RingQueue(3, length)
        written = [queue.keys[:, i].clone() for i in range(length)]
        for _ in range(40):
            keys = torch.randn(rng.randint(1, 2 * length + 1), 3)
            queue.enqueue(keys)
            written += list(keys)
            newest = torch.stack(written[-length:], 1)
            # From the write position on, the ring runs from old to new.
            ring = torch.roll(queue.keys, -queue.position, 1)
            assert torch.equal(ring, newest)


def test_state_dict_brings_position_and_keys_back():
    queue = RingQueue(4, 10)
    queue.enqueue(torch.randn(7, 4))
    other = RingQueue(4, 10)
    other.load_state_dict(queue.state_dict())
    assert other.position == 7
    assert torch.equal(other.keys, queue.keys)
    more = torch.randn(6, 4)
    queue.enqueue(more)
    other.enqueue(more)
    assert torch.equal(other.keys, queue.keys)


def test_is_full_when_the_random_keys_are_gone():
    queue = RingQueue(2, 10)
    random = queue.keys.clone()
    for _ in range(5):
        left = (queue.keys == random).all(0).any()
        assert queue.is_full != bool(left)
        queue.enqueue(torch.randn(4, 2))
    assert queue.is_full and queue.position == 0
    resumed = RingQueue(2, 10)
    resumed.load_state_dict(queue.state_dict())
    assert resumed.is_full and resumed.position == 0


def test_a_checkpoint_with_the_position_only_counts_that_far():
    state = RingQueue(2, 10).state_dict()
    state['_extra_state'] = torch.tensor(7)
    queue = RingQueue(2, 10)
    queue.load_state_dict(state)
    assert queue.position == 7 and not queue.is_full
    queue.enqueue(torch.randn(3, 2))
    assert queue.is_full and queue.position == 0


def test_starts_with_unit_keys():
    norms = RingQueue(8, 100).keys.norm(dim=0)
    torch.testing.assert_close(norms, torch.ones(100))


def test_empty_queue_is_refused():
    with pytest.raises(ValueError, match='set queue_len and feat_dim'):
        RingQueue(8, 0)
