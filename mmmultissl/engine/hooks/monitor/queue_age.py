# Copyright (c) mmmultissl contributors. All rights reserved.
"""How old the keys are that queries are compared with."""
from typing import Dict

from mmengine.dist import get_world_size

from mmmultissl.models.selfsup import MultiSSL
from mmmultissl.models.utils import RingQueue

from .measurement import Measurement, Numbers
from .step import queues_of


def mean_age(length: int, batch: int) -> float:
    """Mean age of the keys of a queue that every iteration adds a batch to.

    The newest keys have age 0 until the next iteration; of the oldest batch
    only a part may be left.

    Args:
        length (int): Keys K that have been written and are kept.
        batch (int): Keys B of an iteration.

    Returns:
        float: Iterations; (K / B - 1) / 2 where B divides K.
    """
    whole, rest = divmod(length, batch)
    return (batch * whole * (whole - 1) / 2 + rest * whole) / max(length, 1)


class QueueAge(Measurement):
    """Age of the keys in every queue, and the share that is written.

    Args:
        interval (int): Iterations between two measurements.
            Defaults to 500.
    """

    steps_seen = 0

    def __init__(self, interval: int = 500) -> None:
        super().__init__(interval)
        self._batch = 1

    def before_train(self, runner, model: MultiSSL) -> None:
        """Note the keys of an iteration.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Not used.
        """
        self._batch = runner.train_dataloader.batch_size * get_world_size()

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Measure.

        Args:
            model (MultiSSL): The model.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``{task}.{queue}/age`` in iterations and
            ``{task}.{queue}/filled`` from 0 to 1.
        """
        numbers = {}
        for name, queue in queues_of(model).items():
            for key, value in self._of_queue(queue).items():
                numbers[f'{name}/{key}'] = value
        return numbers

    def _of_queue(self, queue: RingQueue) -> Dict[str, float]:
        written = min(queue.written, queue.length)
        return dict(
            age=mean_age(written, self._batch),
            filled=written / queue.length)
