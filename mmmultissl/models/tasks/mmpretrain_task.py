# Copyright (c) mmmultissl contributors. All rights reserved.
"""Algorithms of mmpretrain as tasks."""
from typing import Dict, List, Optional, Tuple

import torch.nn as nn
from mmengine.model import BaseAveragedModel, ExponentialMovingAverage
from mmpretrain.models.utils import CosineEMA
from torch import Tensor

from mmmultissl.registry import MODELS

from ..selfsup.encoded_views import Features, TaskViews
from ..selfsup.momentum_encoder import MomentumSchedule
from .base import PretextTask

_CHANGES_INPUT = (
    'The algorithm of an MMPretrainTask changes its input before the backbone '
    'sees it, so views cannot be shared: pretrain it alone, or write a '
    'PretextTask for it.')


class _SharedTrunk(nn.Module):
    """Stands where the algorithm expects its backbone.

    The algorithm is given names of views in place of images, and this looks
    the features up instead of computing them.
    """

    views: Optional[TaskViews] = None

    def forward(self, view: str) -> Features:
        if not isinstance(view, str):
            raise ValueError(_CHANGES_INPUT)
        return self.views.query(view)


class _SharedTarget(nn.Module):
    """Stands where the algorithm expects its EMA copy of trunk and neck."""

    views: Optional[TaskViews] = None

    def update_parameters(self, model: nn.Module) -> None:
        """Do nothing: MultiSSL moves every EMA copy, once per step."""

    def forward(self, view: str) -> Tuple[Tensor, ...]:
        key = self.views.key(view)
        outputs = self.views.momentum('neck')(key.features)
        return tuple(key.unshuffle(output) for output in outputs)


@MODELS.register_module()
class MMPretrainTask(PretextTask):
    """Hands the shared trunk to an algorithm of mmpretrain.

    For algorithms that read images only through ``self.backbone`` and an EMA
    copy of backbone and neck: BYOL, SimSiam and Barlow Twins are tested. The
    algorithm's ``loss()`` runs unchanged. Its EMA copy is replaced by the
    shared one of the same schedule.

    Args:
        algorithm (dict): Config of the algorithm without its backbone, such
            as ``dict(type='mmpretrain.BYOL', neck=..., head=...)``.
        views (Sequence[str]): Names of the views that become the algorithm's
            inputs, in its order. Defaults to ``('view0', 'view1')``.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If the algorithm's config names a backbone, its average
            cannot be shared, or it keeps a queue, for which there are
            MoCoV2Task and DenseCLTask.
    """

    def __init__(self,
                 algorithm: dict,
                 views: Tuple[str, ...] = ('view0', 'view1'),
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if 'backbone' in algorithm:
            raise ValueError(
                f'The task {algorithm["type"]} names a backbone of its own: '
                'remove it, the task reads the backbone of MultiSSL.')
        self._trunk = _SharedTrunk()
        self.algorithm = MODELS.build(dict(algorithm, backbone=self._trunk))
        if hasattr(self.algorithm, 'queue_len'):
            raise ValueError(
                f'{algorithm["type"]} keeps a queue, which cannot be shared '
                'through MMPretrainTask: use mmmultissl.MoCoV2Task or '
                'mmmultissl.DenseCLTask.')
        self.query_views = tuple(views)
        self._target = self._replace_target()

    def _replace_target(self) -> Optional[_SharedTarget]:
        for name, child in list(self.algorithm.named_children()):
            if isinstance(child, BaseAveragedModel):
                self.schedule = _schedule_of(child)
                self.key_views = self.query_views
                target = _SharedTarget()
                setattr(self.algorithm, name, target)
                return target
        return None

    def momentum_modules(self) -> Dict[str, nn.Module]:
        """Get the algorithm's neck where it has an EMA copy."""
        return {} if self._target is None else dict(neck=self.algorithm.neck)

    def compilable_modules(self) -> List[nn.Module]:
        """Get the algorithm's neck."""
        return [self.algorithm.neck] if self.algorithm.with_neck else []

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Run the algorithm's own ``loss()`` on the shared features.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Handed on.

        Returns:
            dict[str, Tensor]: The algorithm's losses.
        """
        self._trunk.views = views
        if self._target is not None:
            self._target.views = views
        try:
            return self.algorithm.loss(list(self.query_views), data_samples)
        except TypeError as error:
            if 'str' not in str(error):
                raise
            raise ValueError(_CHANGES_INPUT) from error
        finally:
            # Features of a batch must not outlive its step.
            self._trunk.views = None
            if self._target is not None:
                self._target.views = None


def _schedule_of(ema: BaseAveragedModel) -> MomentumSchedule:
    known = type(ema) in (ExponentialMovingAverage, CosineEMA)
    if not known or ema.interval != 1 or ema.update_buffers:
        raise ValueError(
            f'The average {type(ema).__name__}(interval='
            f'{getattr(ema, "interval", None)}, update_buffers='
            f'{getattr(ema, "update_buffers", None)}) cannot be shared: use '
            'ExponentialMovingAverage or CosineEMA at every step, without '
            'buffers.')
    end = ema.end_momentum if isinstance(ema, CosineEMA) else None
    return MomentumSchedule(ema.momentum, end)
