# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the monitor keeps of a training step, without computing it again."""
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple

import torch
from mmengine.dist import get_rank, get_world_size
from torch import Tensor, nn

from mmmultissl.models.losses import InfoNCE, LogitInfoNCE
from mmmultissl.models.selfsup import EncodedViews, MultiSSL
from mmmultissl.models.utils import RingQueue


@dataclass
class Contrast:
    """What a task's InfoNCE was given.

    Args:
        query (Tensor): Unit queries, ``(M, C)``; M is the batch, or more
            where cells of images are contrasted.
        positive (Tensor): Similarity of each to its positive, ``(M, )``.
        queue (RingQueue): Where the negatives are from.
    """
    query: Tensor
    positive: Tensor
    queue: RingQueue

    def keys(self, rows: int) -> Optional[Tensor]:
        """Get the keys of this step, once they are in the queue.

        Args:
            rows (int): Images of this process.

        Returns:
            Tensor | None: Keys in the order of the batch, ``(rows, C)``; None
            where queries are no images, or a batch does not fit the queue.
        """
        return self.latest(rows) if len(self.query) == rows else None

    def latest(self, rows: int) -> Optional[Tensor]:
        """Get what was last written into the queue.

        Args:
            rows (int): Images of this process.

        Returns:
            Tensor | None: Keys in the order of the batch, ``(rows, C)``; None
            where a batch does not fit the queue.
        """
        written = rows * get_world_size()
        if written > self.queue.length:
            return None
        start = self.queue.position - written + get_rank() * rows
        index = torch.arange(start, start + rows) % self.queue.length
        return self.queue.keys[:, index.to(self.queue.keys.device)].t()


@dataclass
class Step:
    """Features of one step, pooled and detached.

    Args:
        views (dict[str, Tensor]): View -> features of the online trunk,
            ``(N, C)``.
        keys (dict[str, Callable]): View -> what gives the features of the
            EMA trunk in the order of the batch, ``(N, C)``; all processes
            have to ask for it together.
        contrasts (dict[str, Contrast]): ``{task}.{queue}`` -> contrast.
        images (dict[str, Tensor]): View -> what was encoded.
        teachers (dict[str, tuple]): Task -> view that its frozen teacher
            read, and the teacher's features, ``(N, C)``.
    """
    views: Dict[str, Tensor] = field(default_factory=dict)
    keys: Dict[str, Callable[[], Tensor]] = field(default_factory=dict)
    contrasts: Dict[str, Contrast] = field(default_factory=dict)
    images: Dict[str, Tensor] = field(default_factory=dict)
    teachers: Dict[str, Tuple[str, Tensor]] = field(default_factory=dict)

    @property
    def first(self) -> Optional[Tensor]:
        """Tensor: Features of the first view that the trunk encoded."""
        return next(iter(self.views.values()), None)


@torch.no_grad()
def pooled(features) -> Tensor:
    """Pool the last map.

    Args:
        features (tuple[Tensor] | Tensor): Maps, ``(N, C, H, W)``, or vectors.

    Returns:
        Tensor: Means over all positions, ``(N, C)``, float32 or float64.
    """
    last = features[-1] if isinstance(features, (tuple, list)) else features
    last = last.detach().to(torch.promote_types(last.dtype, torch.float32))
    return last.flatten(2).mean(2) if last.dim() > 2 else last


def queues_of(model: MultiSSL) -> Dict[str, RingQueue]:
    """Find the queues of all tasks, but for those of frozen teachers.

    Args:
        model (MultiSSL): The model.

    Returns:
        dict[str, RingQueue]: ``{task}.{queue}`` -> queue.
    """
    return {
        f'{task}.{name}': module
        for task, parts in model.tasks.items()
        for name, module in parts.named_modules()
        if isinstance(module, RingQueue) and not name.startswith('teacher.')
    }


class StepObserver:
    """Looks at the steps for which it is told to.

    It reads what the step computes anyway: the encoded views, the arguments
    of every :class:`InfoNCE` and the outputs of frozen teachers. In all other
    steps it looks at nothing.

    Args:
        model (MultiSSL): The model, without a wrapper.
    """

    def __init__(self, model: MultiSSL) -> None:
        self._step: Optional[Step] = None
        self._inputs: List[Tuple[str, Tensor, Tensor]] = []
        self._queues = queues_of(model)
        self._stops = [model.watch(self._see_views)]
        for task, module in model.tasks.items():
            for part in module.modules():
                if isinstance(part, (InfoNCE, LogitInfoNCE)):
                    handle = part.register_forward_pre_hook(
                        self._see_contrast)
                    self._stops.append(handle.remove)
            teacher = getattr(module, 'teacher', None)
            if isinstance(teacher, nn.Module):
                handle = teacher.register_forward_hook(
                    self._teacher_hook(task))
                self._stops.append(handle.remove)

    def start(self) -> None:
        """Look at the coming step."""
        self._step, self._inputs = Step(), []

    def take(self) -> Step:
        """Stop looking.

        Returns:
            Step: What was seen.
        """
        step, self._step, self._inputs = self._step, None, []
        return step

    def close(self) -> None:
        """Leave the model as it was."""
        for stop in self._stops:
            stop()
        self._stops = []

    def _see_contrast(self, module: nn.Module, args: tuple) -> None:
        if self._step is None or len(args) != 3:
            return
        query, positive, keys = args
        for name, queue in self._queues.items():
            # The buffer itself is handed over.
            if keys is queue.keys:
                self._step.contrasts[name] = Contrast(query.detach(),
                                                      positive.detach(), queue)

    def _teacher_hook(self, task: str) -> Callable:

        def see(module: nn.Module, args: tuple, outputs) -> None:
            if self._step is not None and args:
                self._inputs.append((task, args[0], pooled(outputs)))

        return see

    def _see_views(self, views: EncodedViews, losses: dict) -> None:
        if self._step is None:
            return
        step = self._step
        step.views = {
            name: pooled(features)
            for name, features in views.queries.items()
        }
        step.images = dict(views.inputs)
        for name, key in views.keys.items():
            features = pooled(key.features)
            step.keys[name] = lambda f=features, k=key.unshuffle: k(f)
        for task, image, features in self._inputs:
            for name, view in views.inputs.items():
                if image is view and name in step.views:
                    step.teachers.setdefault(task, (name, features))
