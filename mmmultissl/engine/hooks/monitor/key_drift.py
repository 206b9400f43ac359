# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far the EMA encoder has moved since it wrote the oldest keys."""
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn
from torch.nn import functional as F

from mmmultissl.models.selfsup import MomentumEncoder, MultiSSL
from mmmultissl.utils.seeding import preserved_rng

from .measurement import Measurement, Numbers
from .step import Step, queues_of

# Below this a neck's output is not what was written: our choice, far from 1
# as well as from unrelated keys. Batches shuffled over processes lie between.
_SAME = 0.9


@dataclass
class _Written:
    """Keys of one step, as they went into a queue."""
    task: str
    queue: str
    output: int
    keys: Tensor


class KeyDrift(Measurement):
    """Likeness of the oldest keys in a queue to the same keys made anew.

    A batch of images is kept until its keys are about to be overwritten, and
    encoded a second time, by the EMA trunk and neck as they are then; its
    batch norm statistics are put back. Tasks are found by their queue and
    their EMA neck; one whose keys are something else is left out.

    A run that is resumed in between leaves the next measurement out.

    Args:
        interval (int): Iterations between two measurements; a multiple of it
            where keys live longer. Defaults to 500.
    """

    # Encoding may gather statistics over the processes.
    on_all_ranks = True

    def __init__(self, interval: int = 500) -> None:
        super().__init__(interval)
        self._batch = 1
        self._lifetime = 0
        self._model: Optional[MultiSSL] = None
        self._images: Dict[str, Tensor] = {}
        self._written: List[_Written] = []

    def before_train(self, runner, model: MultiSSL) -> None:
        """See how long keys live.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Its model.
        """
        self._model = model
        self._batch = runner.train_dataloader.batch_size
        written = self._batch * get_world_size()
        lifetimes = [
            queue.length // written - 1 for queue in queues_of(model).values()
        ]
        # Of several queues the shortest one decides; one that holds less
        # than two batches has no old keys.
        self._lifetime = min((t for t in lifetimes if t > 0), default=0)
        # One batch is kept at a time.
        self.interval *= self._lifetime // self.interval + 1

    def wants(self, iteration: int, last: int) -> bool:
        """Whether a step's keys will be as old as can be at the measurement.

        Args:
            iteration (int): The iteration, from 1.
            last (int): Not used.

        Returns:
            bool: Whether they will.
        """
        return self._lifetime > 0 and (iteration +
                                       self._lifetime) % self.interval == 0

    def is_due(self, iteration: int, last: int) -> bool:
        """Whether it measures after an iteration.

        Args:
            iteration (int): The iteration, from 1.
            last (int): Not used.

        Returns:
            bool: Whether it does.
        """
        return iteration % self.interval == 0

    def see(self, step: Step) -> None:
        """Keep images and keys of a step.

        Args:
            step (Step): What was seen of it.
        """
        self._images, self._written = {}, []
        for name, contrast in step.contrasts.items():
            task, _, queue = name.partition('.')
            encoder = _encoder_of(self._model, task)
            views = self._model.tasks[task].key_views
            if encoder is None or len(views) != 1:
                continue
            keys = contrast.latest(self._batch)
            if keys is None:
                continue
            image = step.images[views[0]]
            outputs = _encode(encoder, task, image)
            alike = torch.tensor([_likeness(keys, o) for o in outputs])
            # All processes decide alike, or one would wait for the others.
            all_reduce(alike, 'min')
            best = int(alike.argmax())
            if alike[best] > _SAME:
                self._images[task] = image
                self._written.append(
                    _Written(task, queue, best, keys.clone()))

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Encode the kept images anew.

        Args:
            model (MultiSSL): The model.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``{task}.{queue}/key_cosine``.
        """
        numbers, outputs = {}, {}
        for part in self._written:
            if part.task not in outputs:
                outputs[part.task] = _encode(
                    _encoder_of(model, part.task), part.task,
                    self._images[part.task])
            numbers[f'{part.task}.{part.queue}/key_cosine'] = _likeness(
                part.keys, outputs[part.task][part.output])
        self._images, self._written = {}, []
        return numbers


def _encoder_of(model: MultiSSL, task: str) -> Optional[MomentumEncoder]:
    for encoder in model.momentum.values():
        if task in encoder.tasks and 'neck' in encoder.tasks[task]:
            return encoder
    return None


@contextmanager
def _kept_buffers(*modules: nn.Module) -> Iterator[None]:
    buffers = [b for module in modules for b in module.buffers()]
    before = [b.clone() for b in buffers]
    try:
        yield
    finally:
        for buffer, value in zip(buffers, before):
            buffer.copy_(value)


@torch.no_grad()
def _encode(encoder: MomentumEncoder, task: str,
            images: Tensor) -> List[Tensor]:
    """Make keys of images; all outputs of the neck that are vectors."""
    neck = encoder.tasks[task]['neck']
    with preserved_rng(), _kept_buffers(encoder.backbone, neck):
        outputs = neck.forward(encoder.backbone.forward(images))
    return [o if o.dim() == 2 else o.new_zeros(0) for o in outputs]


def _likeness(keys: Tensor, output: Tensor) -> float:
    if output.shape != keys.shape:
        return -1.
    return float(
        F.cosine_similarity(keys.double(), output.double(), dim=1).mean())
