# Copyright (c) mmmultissl contributors. All rights reserved.
"""Learning without forgetting: keep what the old heads answer."""
import copy
from typing import Dict, List, Optional

import torch
import torch.nn as nn
from mmengine.model import ModuleDict
from torch import Tensor

from mmmultissl.registry import MODELS

from ..losses import KDDistance
from ..selfsup.encoded_views import EncodedViews, Features, TaskViews
from .base import PretextTask
from .feature_distillation import check_weight, own_generator
from .head_responses import head_responses
from .teacher import FrozenKeys, Teacher


@MODELS.register_module()
class OldHeadDistillationTask(PretextTask):
    r"""Divergence of what old heads answer from what they used to answer.

    `Learning without Forgetting <https://arxiv.org/abs/1606.09282>`_,
    equations 2 and 3: on the data of the new task, the outputs of the old
    tasks' heads on the trained trunk stay near those that the old model gives
    there, by distillation at T = 2, without the factor of T^2 by which
    :class:`~mmmultissl.models.losses.KDDistance` is larger. As there, the old
    heads are trained along.

    Our choice: what a head without classes answers
    (:func:`~mmmultissl.models.tasks.head_responses`); that old heads stay in
    evaluation mode, without dropout and with the batch norm statistics of
    their stage; that queues and companions are those of the old model, and
    stay as they were.

    Args:
        teacher (dict): Arguments of
            :class:`~mmmultissl.models.tasks.Teacher`, without ``tasks`` and
            ``companions``. Heads and companions come from the same file.
        heads (dict): Name in that run -> config of the old task, as in its
            ``model.tasks``.
        companions (dict, optional): Name -> config of a companion of that
            run, which the old tasks read. Defaults to None.
        temperature (float): T. Defaults to 2.
        train_heads (bool): Whether old heads are trained along.
            Defaults to True.
        queue_keys (int): How many keys of an old queue stand for classes.
            Defaults to 4096 (our choice; DenseCL's cells would need much
            memory for all).
        weight (float): Weight of the sum over heads. Defaults to 1.
        seed (int): Seed of what is drawn before the file is read.
            Defaults to 0.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If an argument cannot be used.
    """

    def __init__(self,
                 teacher: dict,
                 heads: Dict[str, dict],
                 companions: Optional[Dict[str, dict]] = None,
                 temperature: float = 2.,
                 train_heads: bool = True,
                 queue_keys: int = 4096,
                 weight: float = 1.,
                 seed: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_weight(weight, 'OldHeadDistillationTask')
        self.weight = weight
        self.seed = seed
        self.queue_keys = queue_keys
        self.distance = KDDistance(temperature)
        with own_generator(seed):
            self.teacher = Teacher.of(
                teacher,
                'OldHeadDistillationTask',
                tasks=heads,
                companions=companions)
        if not self.teacher.tasks:
            raise ValueError(
                'OldHeadDistillationTask got no heads: name old tasks with '
                'their configs, such as heads=dict(moco=CONFIG).')
        self.heads = None
        if train_heads:
            self.heads = ModuleDict({
                name: _trained_copy(task)
                for name, task in self.teacher.tasks.items()
            })
        self.query_views = tuple(dict.fromkeys(
            view for task in self.teacher.tasks.values()
            for view in task.query_views))

    def derived_views(self) -> dict:
        """Get the views that old tasks make from others."""
        return {
            view: made
            for task in self.teacher.tasks.values()
            for view, made in task.derived_views().items()
        }

    def init_weights(self) -> None:
        """Fill the teacher, and start the heads from its own."""
        with own_generator(self.seed):
            super().init_weights()
        self.teacher.load()
        if self.heads is not None and self.teacher.is_filled:
            for name, head in self.heads.items():
                old = self.teacher.tasks[name].state_dict()
                head.load_state_dict({key: old[key]
                                      for key in head.state_dict()})

    def train(self, mode: bool = True) -> 'OldHeadDistillationTask':
        """Switch the mode, but leave old heads in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            OldHeadDistillationTask: Itself.
        """
        super().train(mode)
        if self.heads is not None:
            self.heads.eval()
        return self

    def compilable_modules(self) -> List[nn.Module]:
        """Get the teacher's encoder."""
        return [self.teacher.backbone]

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the weighted sum of the heads' distances.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``, and ``distance_{name}`` of each head,
            without weight and only logged.
        """
        self.teacher.require_filled()
        old_views = self._old_views(views)
        new_views = _NewViews(views, old_views, detached=self.weight == 0)
        heads = self.teacher.tasks if self.heads is None else self.heads
        distances = {}
        for name, old in self.teacher.tasks.items():
            with torch.no_grad():
                wanted = head_responses(old, old_views, self.queue_keys)
            given = head_responses(heads[name], new_views, self.queue_keys)
            pairs = [self.distance(g, w) for g, w in zip(given, wanted)]
            # The paper's equations have no factor T^2.
            distances[name] = sum(pairs) / len(
                pairs) / self.distance.temperature**2
        losses = {f'distance_{name}': value.detach()
                  for name, value in distances.items()}
        return dict(loss=self.weight * sum(distances.values()), **losses)

    def _old_views(self, views: TaskViews) -> EncodedViews:
        """The views as the old encoders see them, each once."""
        read = set(self.query_views)
        for task in self.teacher.tasks.values():
            read |= {view for _, view in task.companion_views}
        return EncodedViews({view: views.input(view) for view in sorted(read)},
                            self.teacher.backbone, False,
                            self.teacher.companions)


class _NewViews:
    """What an old head reads now: the trained trunk, and old companions."""

    def __init__(self, new: TaskViews, old: EncodedViews,
                 detached: bool) -> None:
        self._new, self._old, self._detached = new, old, detached

    def query(self, view: str) -> Features:
        features = self._new.query(view)
        return tuple(f.detach()
                     for f in features) if self._detached else features

    @torch.no_grad()
    def companion(self, encoder: str, view: str) -> Features:
        return self._old.companion(encoder, view)


def _trained_copy(task: PretextTask) -> PretextTask:
    """Copy a frozen task for training, with the very same queues."""
    queues = {name: module for name, module in task.named_children()
              if isinstance(module, FrozenKeys)}
    copied = copy.deepcopy(task).requires_grad_(True)
    for name, queue in queues.items():
        # Not as a part of it, or checkpoints would hold them twice.
        del copied._modules[name]
        copied.__dict__[name] = queue
    return copied
