# Copyright (c) mmmultissl contributors. All rights reserved.
"""Parts that several models share."""
from .batch_shuffle import batch_shuffle, no_shuffle
from .progress import training_progress
from .recompute import recompute
from .ring_queue import RingQueue, enqueued_at_the_end

__all__ = [
    'RingQueue', 'batch_shuffle', 'enqueued_at_the_end', 'no_shuffle',
    'recompute', 'training_progress'
]
