# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a task's head answers, as logits of classes."""
from functools import singledispatch
from typing import List

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from ..selfsup.encoded_views import TaskViews
from .audio_visual import AudioVisualTask
from .base import PretextTask
from .densecl import DenseCLTask
from .moco import MoCoV2Task
from .spatial_alignment import SpatialAlignmentTask
from .temporal_gap import TemporalGapTask


@singledispatch
def head_responses(task: PretextTask, views: TaskViews,
                   queue_keys: int = 4096) -> List[Tensor]:
    """Get what a task's head answers, as logits of classes.

    Learning without forgetting (arXiv:1606.09282) keeps the answers of old
    heads, and was made for heads that classify. What stands for the classes
    of other heads is our choice:

    ========================== ============================================
    head                       logits
    ========================== ============================================
    MoCo v2                    similarities to keys of its queue / tau
    DenseCL                    the same, and those of all cells to keys of
                               the dense queue
    gap: classes, signed       its own
    gap: ordinal               two for each threshold
    spatial: heading           its own
    binary variants            two for each pair of sound and image
    other audio-visual ones    similarities of an image to all sounds / tau
    ========================== ============================================

    For a task of your own, register a function of the same arguments by
    ``@head_responses.register(MyTask)``.

    Args:
        task (PretextTask): The task, with its head and queue.
        views (TaskViews): The views that it reads, encoded.
        queue_keys (int): How many keys of a queue stand for classes.
            Defaults to 4096.

    Returns:
        list[Tensor]: Logits, each ``(rows, classes)``.

    Raises:
        ValueError: If it is not known what this task's head answers.
    """
    raise ValueError(
        f'It is not known what the head of {type(task).__name__} answers: '
        'leave it out of heads, remember its features by '
        'FeatureDistillationTask, or register a function for it by '
        '@head_responses.register.')


@head_responses.register
def _(task: MoCoV2Task, views: TaskViews,
      queue_keys: int = 4096) -> List[Tensor]:
    query_NC = task.neck(views.query(task.query_views[0]))[0]
    return [_to_queue(query_NC, task.queue, task.loss_module, queue_keys)]


@head_responses.register
def _(task: DenseCLTask, views: TaskViews,
      queue_keys: int = 4096) -> List[Tensor]:
    query_NC, query_NCS, _ = task.neck(views.query(task.query_views[0]))
    cells_MC = query_NCS.transpose(1, 2).flatten(0, 1)
    return [
        _to_queue(query_NC, task.queue, task.loss_module, queue_keys),
        _to_queue(cells_MC, task.dense_queue, task.loss_module, queue_keys)
    ]


@head_responses.register
def _(task: TemporalGapTask, views: TaskViews,
      queue_keys: int = 4096) -> List[Tensor]:
    logits = task.score_gaps(views)
    return [_yes_or_no(logits) if task.variant == 'ordinal' else logits]


@head_responses.register
def _(task: AudioVisualTask, views: TaskViews,
      queue_keys: int = 4096) -> List[Tensor]:
    image = task.embed_image(views)
    sounds = [task.embed_sound(views, view) for view in task.query_views]
    if task.variant in task.distance_variants:
        vectors, *others = task.project(*sounds, image)
        return [_similarities(vectors, torch.cat(others).t(),
                              task.temperature)]
    if isinstance(task, SpatialAlignmentTask) and task.variant == 'heading':
        return [task.head(sounds[0], image)]
    return [_yes_or_no(task.head(sound, image)) for sound in sounds]


def _to_queue(vectors: Tensor, queue: nn.Module, loss: nn.Module,
              queue_keys: int) -> Tensor:
    # InfoNCE has the temperature itself, LogitInfoNCE in its head.
    temperature = getattr(loss, 'head', loss).temperature
    return _similarities(
        F.normalize(vectors, dim=1), queue.keys[:, :queue_keys], temperature)


def _similarities(query_NC: Tensor, keys_CK: Tensor,
                  temperature: float) -> Tensor:
    dtype = torch.promote_types(query_NC.dtype, torch.float32)
    with torch.autocast(query_NC.device.type, enabled=False):
        return query_NC.to(dtype) @ keys_CK.to(dtype) / temperature


def _yes_or_no(scores: Tensor) -> Tensor:
    """Two logits whose softmax is the sigmoid of each score."""
    return torch.stack([scores, torch.zeros_like(scores)], -1).flatten(0, -2)
