# Copyright (c) mmmultissl contributors. All rights reserved.
"""DenseCL as a task."""
import math
from typing import Dict, Optional, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from ..losses import row_similarity
from ..selfsup.encoded_views import TaskViews
from ..utils import RingQueue, training_progress
from .base import PretextTask


@MODELS.register_module()
class DenseCLTask(PretextTask):
    r"""Contrast local features of two views beside their global ones.

    `Dense Contrastive Learning for Self-Supervised Visual Pre-Training
    <https://arxiv.org/abs/2011.09157>`_: every cell of the query map is
    matched with the most similar cell of the key map of the same image, by
    the trunk's features (section 3.3), and told from a queue of pooled dense
    keys, :math:`L = (1 - \lambda) L_{global} + \lambda L_{dense}`
    (equation 3).

    Args:
        neck (dict): Config of the projections, such as
            ``mmpretrain.DenseCLNeck``; gives global ``(N, feat_dim)``, dense
            ``(N, feat_dim, S)`` and pooled dense ``(N, feat_dim)`` outputs.
        queue_len (int): Number of negative keys in each of the two queues.
            Defaults to 65536.
        feat_dim (int): Length of a key. Defaults to 128.
        loss (dict, optional): Config of the loss. Defaults to
            ``dict(type='mmmultissl.InfoNCE', temperature=0.2)``.
        loss_lambda (float): Weight :math:`\lambda` of the dense part, in
            [0, 1]. Defaults to 0.5.
        warmup_iters (int | float): Iterations at the start in which
            :math:`\lambda` is 0, so that matches are not learnt from an
            untrained trunk; the authors' code has it as a hook. A float in
            (0, 1) is a share of the run's iterations, for runs of several
            lengths (our choice). Defaults to 0.
        momentum (float | dict): EMA schedule of the keys. Defaults to 0.001.
        query_view (str): View of the queries. Defaults to 'view0'.
        key_view (str): View of the keys. Defaults to 'view1'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If ``loss_lambda`` is outside [0, 1], or ``warmup_iters``
            is neither a number of iterations nor a share.
    """

    def __init__(self,
                 neck: dict,
                 queue_len: int = 65536,
                 feat_dim: int = 128,
                 loss: Optional[dict] = None,
                 loss_lambda: float = 0.5,
                 warmup_iters: Union[int, float] = 0,
                 momentum: Union[float, dict] = 0.001,
                 query_view: str = 'view0',
                 key_view: str = 'view1',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(momentum, init_cfg)
        if not 0 <= loss_lambda <= 1:
            raise ValueError(f'loss_lambda of DenseCL is {loss_lambda}: set '
                             'the share of the dense loss, 0 to 1.')
        if (not 0 < warmup_iters < 1 if isinstance(warmup_iters, float) else
                warmup_iters < 0):
            raise ValueError(
                f'warmup_iters of DenseCL is {warmup_iters}: set a whole '
                'number of iterations, or a share of the run, such as 0.02.')
        self.query_views, self.key_views = (query_view, ), (key_view, )
        self.loss_lambda = loss_lambda
        self.warmup_iters = warmup_iters
        self.neck = MODELS.build(neck)
        self.loss_module = MODELS.build(loss
                                        or dict(type='mmmultissl.InfoNCE'))
        self.queue = RingQueue(feat_dim, queue_len)
        self.dense_queue = RingQueue(feat_dim, queue_len)

    def momentum_modules(self) -> Dict[str, nn.Module]:
        """Get the projections, whose EMA copies project the keys."""
        return dict(neck=self.neck)

    def current_lambda(self) -> float:
        """Get the weight of the dense part at the running iteration."""
        done, total = training_progress()
        warm_up = self.warmup_iters
        if isinstance(warm_up, float):
            warm_up *= total
        return 0. if done < warm_up else self.loss_lambda

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute both losses and put the keys into the queues.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss_single`` and ``loss_dense``.
        """
        # queries: NxC, NxCxS, and the trunk's cells NxDxS
        features = views.query(self.query_views[0])
        query_NC, query_NCS, _ = self.neck(features)
        query_NC = F.normalize(query_NC, dim=1)
        query_NCS = F.normalize(query_NCS, dim=1)

        # keys: the same and their pooled dense outputs NxC, no gradient
        with torch.no_grad():
            view = views.key(self.key_views[0])
            key_NC, key_NCS, pooled_NC = views.momentum('neck')(view.features)
            key_NC = view.unshuffle(F.normalize(key_NC, dim=1))
            key_NCS = view.unshuffle(F.normalize(key_NCS, dim=1))
            pooled_NC = view.unshuffle(F.normalize(pooled_NC, dim=1))
            # The one trunk map that must go back to its own process: cells
            # are compared with those of the same image.
            cells = key_NCS.size(2)
            key_NDS = view.unshuffle(unit_cells(view.features[-1], cells))
            match_NS = match_cells(
                unit_cells(features[-1].detach(), cells), key_NDS)
            matched_NCS = torch.gather(
                key_NCS, 2,
                match_NS.unsqueeze(1).expand(-1, key_NCS.size(1), -1))

        # Image against queue of images, cell against queue of cells.
        positive_N = row_similarity(query_NC, key_NC)
        positive_NS = (query_NCS.to(positive_N) *
                       matched_NCS.to(positive_N)).sum(1)
        cells_MC = query_NCS.permute(0, 2, 1).reshape(-1, query_NCS.size(1))
        loss_single = self.loss_module(query_NC, positive_N, self.queue.keys)
        loss_dense = self.loss_module(cells_MC, positive_NS.reshape(-1),
                                      self.dense_queue.keys)

        self.queue.enqueue(key_NC)
        self.dense_queue.enqueue(pooled_NC)
        weight = self.current_lambda()
        return dict(
            loss_single=loss_single * (1 - weight),
            loss_dense=loss_dense * weight)


def unit_cells(features: Tensor, cells: int) -> Tensor:
    """Cut a map into cells of unit length.

    A neck with ``num_grid`` projects a pooled map; matches are then looked
    for on the trunk's map pooled alike (our choice).

    Args:
        features (Tensor): The trunk's map, ``(N, D, H, W)``.
        cells (int): Number S of cells that the neck gives.

    Returns:
        Tensor: ``(N, D, S)``.
    """
    if features.shape[2] * features.shape[3] != cells:
        features = F.adaptive_avg_pool2d(features, math.isqrt(cells))
    return F.normalize(features.flatten(2), dim=1)


def match_cells(query: Tensor, key: Tensor) -> Tensor:
    """Find each query cell's most similar key cell in the same image.

    DenseCL, section 3.3: the arg max of cosine similarity.

    Args:
        query (Tensor): Unit feature vectors of the cells, ``(N, D, S)``.
        key (Tensor): The other view's, ``(N, D, S')``.

    Returns:
        Tensor: Indices into S', ``(N, S)``.
    """
    return torch.matmul(query.permute(0, 2, 1), key).max(dim=2)[1]
