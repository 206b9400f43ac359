# Copyright (c) mmmultissl contributors. All rights reserved.
"""MoCo v2 as a task."""
from typing import Dict, Optional, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from ..losses import row_similarity
from ..selfsup.encoded_views import TaskViews
from ..utils import RingQueue
from .base import PretextTask


@MODELS.register_module()
class MoCoV2Task(PretextTask):
    """Momentum contrast: tell an image's other view from a queue of images.

    `Momentum Contrast for Unsupervised Visual Representation Learning
    <https://arxiv.org/abs/1911.05722>`_, algorithm 1, with the MLP head of
    `Improved Baselines with Momentum Contrastive Learning
    <https://arxiv.org/abs/2003.04297>`_.

    Args:
        neck (dict): Config of the projection, such as
            ``mmpretrain.MoCoV2Neck``; gives a tuple with ``(N, feat_dim)``.
        queue_len (int): Number of negative keys. Defaults to 65536.
        feat_dim (int): Length of a key. Defaults to 128.
        loss (dict, optional): Config of the loss. Defaults to
            ``dict(type='mmmultissl.InfoNCE', temperature=0.2)``.
        momentum (float | dict): EMA schedule of the keys.
            Defaults to 0.001 (the paper's 0.999).
        query_view (str): View of the queries. Defaults to 'view0'.
        key_view (str): View of the keys. Defaults to 'view1'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.
    """

    def __init__(self,
                 neck: dict,
                 queue_len: int = 65536,
                 feat_dim: int = 128,
                 loss: Optional[dict] = None,
                 momentum: Union[float, dict] = 0.001,
                 query_view: str = 'view0',
                 key_view: str = 'view1',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(momentum, init_cfg)
        self.query_views, self.key_views = (query_view, ), (key_view, )
        self.neck = MODELS.build(neck)
        self.loss_module = MODELS.build(loss
                                        or dict(type='mmmultissl.InfoNCE'))
        self.queue = RingQueue(feat_dim, queue_len)

    def momentum_modules(self) -> Dict[str, nn.Module]:
        """Get the projection, whose EMA copy projects the keys."""
        return dict(neck=self.neck)

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the contrastive loss and put the keys into the queue.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``.
        """
        # queries: NxC
        query_NC = self.neck(views.query(self.query_views[0]))[0]
        query_NC = F.normalize(query_NC, dim=1)

        # keys: NxC, no gradient
        with torch.no_grad():
            view = views.key(self.key_views[0])
            key_NC = views.momentum('neck')(view.features)[0]
            key_NC = view.unshuffle(F.normalize(key_NC, dim=1))

        # One positive against the queue. The queue takes the keys afterwards,
        # or an image would be a negative of itself.
        positive_N = row_similarity(query_NC, key_NC)
        loss = self.loss_module(query_NC, positive_N, self.queue.keys)
        self.queue.enqueue(key_NC)
        return dict(loss=loss)
