# Copyright (c) mmmultissl contributors. All rights reserved.
"""Training steps to compare: ours, mmpretrain's, lightly's, bare arithmetic.

Each contender is an object with ``step(views)``: forward, backward, optimiser,
from images that already lie normalised on the device. Forward passes run under
``precision()``, so that casts are made anew in each step, as in training.
"""
import copy
from contextlib import nullcontext
from typing import Callable, ContextManager, Dict, List, Optional

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor

from mmmultissl.registry import MODELS

Precision = Callable[[], ContextManager]

# What each of ours changes in the config's model.
OURS = {
    'ours': {},
    'ours, all activations kept': dict(recompute=[]),
    'ours, NCHW, all activations kept': dict(
        channels_last=False, recompute=[]),
}


def find_task(cfg: Config, kind: str) -> Config:
    """Find the config of a task by its type.

    Args:
        cfg (Config): The config.
        kind (str): 'MoCo' or 'DenseCL'.

    Returns:
        Config: The task's config.

    Raises:
        LookupError: If the config has no such task.
    """
    name = dict(MoCo='MoCoV2Task', DenseCL='DenseCLTask')[kind]
    for task in cfg.model.tasks.values():
        if task is not None and task.type.split('.')[-1] == name:
            return task
    raise LookupError(f'the config has no {name} to take the sizes from')


def _optimizer(model: nn.Module, cfg: Config) -> torch.optim.Optimizer:
    options = dict(cfg.optim_wrapper.optimizer)
    kind = getattr(torch.optim, options.pop('type'))
    return kind([p for p in model.parameters() if p.requires_grad], **options)


def _build(cfg: dict, device) -> nn.Module:
    module = MODELS.build(copy.deepcopy(cfg)).to(device)
    # mmpretrain's backbones return None from train().
    module.train()
    return module


class Model:
    """A model of mmengine's interface, with the config's optimiser.

    Args:
        model (dict): Config of the model.
        cfg (Config): The whole config.
        device (torch.device): Where it runs.
        precision (Callable): Makes the context of the forward pass.
    """

    def __init__(self, model: dict, cfg: Config, device,
                 precision: Precision) -> None:
        self.model = _build(model, device)
        self.optimizer = _optimizer(self.model, cfg)
        self.precision = precision

    def step(self, views: List[Tensor]) -> None:
        """Train on one batch.

        Args:
            views (list[Tensor]): Two views, each ``(N, 3, H, W)``.
        """
        with self.precision():
            loss, _ = self.model.parse_losses(self.model.loss(views, None))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def _peer_cfg(cfg: Config, kind: str) -> dict:
    """mmpretrain's own algorithm with the sizes of the config's task."""
    task = find_task(cfg, kind)
    peer = dict(
        type=f'mmpretrain.{kind}',
        backbone=cfg.model.backbone,
        neck=task.neck,
        head=dict(
            type='mmpretrain.ContrastiveHead',
            loss=dict(type='mmpretrain.CrossEntropyLoss'),
            temperature=task.loss.temperature),
        queue_len=task.queue_len,
        feat_dim=task.feat_dim,
        momentum=task.momentum)
    if kind == 'DenseCL':
        peer['loss_lambda'] = task.loss_lambda
    return peer


class Lightly(nn.Module):
    """MoCo v2 or DenseCL of lightly's parts, on the config's trunk.

    Put together as its documentation shows, with keys from the EMA copies.

    Args:
        cfg (Config): The config; gives trunk, sizes and momentum.
        dense (bool): DenseCL instead of MoCo v2.
        device (torch.device): Where it runs.
        precision (Callable): Makes the context of the forward pass.
    """

    def __init__(self, cfg: Config, dense: bool, device,
                 precision: Precision) -> None:
        super().__init__()
        self.precision = precision
        from lightly.loss import NTXentLoss
        from lightly.models.modules import heads
        from lightly.models.utils import deactivate_requires_grad
        task = find_task(cfg, 'DenseCL' if dense else 'MoCo')
        sizes = (task.neck.in_channels, task.neck.hid_channels, task.feat_dim)
        kind = (heads.DenseCLProjectionHead
                if dense else heads.MoCoProjectionHead)
        self.dense, self.keep = dense, 1 - task.momentum
        self.trunk = MODELS.build(copy.deepcopy(cfg.model.backbone))
        self.heads = nn.ModuleList(kind(*sizes) for _ in range(1 + dense))
        self.trunk_k = copy.deepcopy(self.trunk)
        self.heads_k = copy.deepcopy(self.heads)
        for module in (self.trunk_k, self.heads_k):
            deactivate_requires_grad(module)
        bank = dict(
            temperature=task.loss.temperature,
            memory_bank_size=(task.queue_len, task.feat_dim))
        self.losses = nn.ModuleList(
            NTXentLoss(**bank) for _ in range(1 + dense))
        self.to(device).train()
        self.optimizer = _optimizer(self, cfg)

    def _project(self, trunk, heads, images):
        map_NDHW = trunk(images)[-1]
        cells_NSD = map_NDHW.flatten(2).transpose(1, 2)
        out = [heads[0](map_NDHW.mean((2, 3)))]
        if self.dense:
            dense_NSC = heads[1](cells_NSD.flatten(0, 1)).unflatten(
                0, cells_NSD.shape[:2])
            out += [cells_NSD, dense_NSC]
        return out

    def step(self, views: List[Tensor]) -> None:
        """Train on one batch.

        Args:
            views (list[Tensor]): Two views, each ``(N, 3, H, W)``.
        """
        from lightly.models import utils
        utils.update_momentum(self.trunk, self.trunk_k, m=self.keep)
        utils.update_momentum(self.heads, self.heads_k, m=self.keep)
        with self.precision():
            query = self._project(self.trunk, self.heads, views[0])
            with torch.no_grad():
                images, order = utils.batch_shuffle(views[1])
                key = [
                    utils.batch_unshuffle(k, order)
                    for k in self._project(self.trunk_k, self.heads_k, images)
                ]
            loss = self.losses[0](query[0], key[0])
            if self.dense:
                matched = utils.select_most_similar(query[1], key[1], key[2])
                loss = loss + self.losses[1](
                    query[2].flatten(0, 1), matched.flatten(0, 1))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class TrunkAlone:
    """The trunk forward and backward with an optimiser: the floor of memory.

    Args:
        cfg (Config): The config.
        device (torch.device): Where it runs.
        precision (Callable): Makes the context of the forward pass.
    """

    def __init__(self, cfg: Config, device, precision: Precision) -> None:
        self.trunk = _build(cfg.model.backbone, device)
        self.optimizer = _optimizer(self.trunk, cfg)
        self.precision = precision

    def step(self, views: List[Tensor]) -> None:
        """Train on one batch.

        Args:
            views (list[Tensor]): Two views, each ``(N, 3, H, W)``.
        """
        with self.precision():
            loss = self.trunk(views[0])[-1].float().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class BareArithmetic:
    """What no implementation can leave out, and nothing else.

    Trunk forward and backward, trunk forward without gradient, the necks of
    all tasks both ways, and the products with the queues. No EMA, no softmax,
    no optimiser, no queue update.

    Args:
        cfg (Config): The config; its tasks must be MoCo v2 or DenseCL.
        device (torch.device): Where it runs.
        precision (Callable): Makes the context of the forward passes.
        channels_last (bool): Memory layout.

    Raises:
        LookupError: If the config has another task.
    """

    def __init__(self, cfg: Config, device, precision: Precision,
                 channels_last: bool) -> None:
        self.precision = precision
        self.device = torch.device(device)
        self.trunk = _build(cfg.model.backbone, device)
        self.necks, self.queues = [], []
        for task in cfg.model.tasks.values():
            if task is None:
                continue
            if 'queue_len' not in task:
                raise LookupError(f'what {task.type} must compute is not '
                                  'known to BareArithmetic')
            self.necks.append(_build(task.neck, device))
            self.queues.append(
                torch.randn(task.feat_dim, task.queue_len, device=device))
        if channels_last:
            for module in [self.trunk, *self.necks]:
                module.to(memory_format=torch.channels_last)

    def parts(self, views: List[Tensor]) -> Dict[str, Callable[[], None]]:
        """Get the parts of a step as functions to time one by one.

        Args:
            views (list[Tensor]): Two views, each ``(N, 3, H, W)``.

        Returns:
            dict[str, Callable]: Name -> function.
        """
        with torch.no_grad(), self.precision():
            features = tuple(f.detach() for f in self.trunk(views[1]))
            outputs = [neck(features) for neck in self.necks]
        rows = []
        for queue, output in zip(self.queues, outputs):
            rows.append((queue, F.normalize(output[0].float(), dim=1)))
            if len(output) > 1:
                cells = output[1].permute(0, 2, 1).flatten(0, 1)
                rows.append((queue, F.normalize(cells.float(), dim=1)))
        grads = [torch.randn_like(f) for f in features]

        def trunk_both_ways():
            self.trunk.zero_grad()
            with self.precision():
                out = self.trunk(views[0])
            torch.autograd.backward(out, grads)

        def trunk_keys():
            with torch.no_grad(), self.precision():
                self.trunk(views[1])

        def necks():
            leaves = tuple(f.clone().requires_grad_() for f in features)
            for neck in self.necks:
                neck.zero_grad()
                with self.precision():
                    out = neck(leaves)
                torch.autograd.backward(out, [torch.ones_like(o) for o in out])
                with torch.no_grad(), self.precision():
                    neck(features)

        def products():
            # Logits, and their gradient's way back to the queries; on the CPU
            # in blocks that fit the cache, so that this is arithmetic, not
            # memory; on a GPU whole, which is fastest there.
            for queue, query in rows:
                block = (max(256, (4 << 20) // (4 * len(query)))
                         if self.device.type == 'cpu' else queue.size(1))
                back = torch.zeros_like(query)
                for part in queue.split(block, dim=1):
                    back.addmm_(query @ part, part.t())

        return dict(
            trunk_both_ways=trunk_both_ways,
            trunk_keys=trunk_keys,
            necks=necks,
            products=products)


def make(name: str,
         cfg: Config,
         device,
         precision: Optional[Precision] = None):
    """Build a contender by name.

    Args:
        name (str): One of :data:`NAMES`.
        cfg (Config): The config of ours.
        device (torch.device): Where it runs.
        precision (Callable, optional): Makes the context of forward passes.
            Defaults to None: full precision.

    Returns:
        object: It has ``step(views)``.

    Raises:
        LookupError: If the config lacks the task, or a package is missing.
    """
    common = (cfg, device, precision or nullcontext)
    if name == 'trunk alone':
        return TrunkAlone(*common)
    if name in OURS:
        return Model(dict(cfg.model, **OURS[name]), *common)
    package, kind = name.split()
    if package == 'mmpretrain':
        return Model(_peer_cfg(cfg, kind), *common)
    try:
        return Lightly(cfg, kind == 'DenseCL', *common[1:])
    except ImportError as error:
        raise LookupError(f'lightly is not installed ({error})') from error


NAMES = ('trunk alone', *OURS, 'mmpretrain MoCo', 'mmpretrain DenseCL',
         'lightly MoCo', 'lightly DenseCL')
