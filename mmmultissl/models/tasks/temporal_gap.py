# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far apart in time are two clips of a recording?"""
from typing import Dict, List, Optional

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from ..heads import FusionHead
from ..losses import ordinal_class, ordinal_loss
from ..selfsup.encoded_views import TaskViews
from .audio_visual import check_variant
from .base import PretextTask
from .labels import labels_of


@MODELS.register_module()
class TemporalGapTask(PretextTask):
    """Predict the time between two binaural clips of one recording.

    "Temporal gap prediction" is one of three binaural tasks of "Sound and
    Visual Representation Learning with Multiple Pretraining Tasks" (CVPR
    2022). Only its name is known to us; what follows is our choice: sound
    alone, classes of whole clip lengths, and a perceptron on both embeddings
    and the absolute value of their difference.

    It reads the views ``clip`` and ``shifted`` and the field ``gap`` of the
    data samples: where ``shifted`` starts less where ``clip`` starts, in clip
    lengths, a whole number with ``1 <= |gap| <= max_gap``.

    ========= ============================== ======== ====================
    variant   classes                        outputs  chance of `accuracy`
    ========= ============================== ======== ====================
    classes   ``|gap| - 1``                  K        1 / K
    signed    -K, ..., -1, 1, ..., K         2 K      1 / (2 K)
    ordinal   ``|gap| - 1``, as thresholds   K - 1    1 / K
    ========= ============================== ======== ====================

    K is ``max_gap``. ``classes`` and ``signed`` are trained by cross-entropy,
    ``ordinal`` by :func:`~mmmultissl.models.losses.ordinal_loss`. Chance holds
    for gaps that are drawn uniformly. At the ends of a recording not all gaps
    fit into it, so some classes are rarer: ``accuracy`` is then compared with
    the share of the most frequent one.

    Args:
        variant (str): See above. Defaults to 'classes'.
        max_gap (int): K, at least 2. Defaults to 5.
        audio_channels (int): Channels of the trunk's last map.
            Defaults to 256 (``OmniAudioNet``).
        hidden_channels (int): Width of the head. Defaults to 512.
        dropout (float): Of the head. Defaults to 0.5.
        clip_view (str): Name of the view with the clip. Defaults to 'clip'.
        shifted_view (str): Of the other one. Defaults to 'shifted'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no such variant, or less than two gaps.
    """

    #: All variants of the task.
    variants = ('classes', 'signed', 'ordinal')

    def __init__(self,
                 variant: str = 'classes',
                 max_gap: int = 5,
                 audio_channels: int = 256,
                 hidden_channels: int = 512,
                 dropout: float = 0.5,
                 clip_view: str = 'clip',
                 shifted_view: str = 'shifted',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_variant(self, variant)
        if max_gap < 2:
            raise ValueError(f'TemporalGapTask got max_gap={max_gap}: set at '
                             'least 2, or there is nothing to tell apart.')
        self.variant = variant
        self.max_gap = max_gap
        self.query_views = (clip_view, shifted_view)
        outputs = dict(
            classes=max_gap, signed=2 * max_gap, ordinal=max_gap - 1)
        self.head = FusionHead(
            (audio_channels, ) * 3,
            outputs[variant],
            hidden_channels,
            dropout,
            products=2)

    def compilable_modules(self) -> List[nn.Module]:
        """Get the head."""
        return [self.head]

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the loss.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list): With ``gap``.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``.
        """
        logits = self.score_gaps(views)
        target = labels_of(data_samples, 'gap', 'TemporalGapTask',
                           self.class_of).to(
                               logits.device, non_blocking=True)
        if self.variant == 'ordinal':
            loss = ordinal_loss(logits, target)
            found = ordinal_class(logits)
        else:
            loss = F.cross_entropy(logits, target)
            found = logits.argmax(1)
        return dict(loss=loss, accuracy=(found == target).float().mean())

    def score_gaps(self, views: TaskViews) -> Tensor:
        """Score the classes, or the thresholds between them.

        Args:
            views (TaskViews): The encoded views.

        Returns:
            Tensor: Logits, ``(N, outputs)``, see the table.
        """
        first, second = (views.query(v)[-1].mean((2, 3))
                         for v in self.query_views)
        return self.head(first, second, (first - second).abs())

    def class_of(self, gap: int) -> int:
        """Get the class of a gap.

        Args:
            gap (int): Signed, in clip lengths.

        Returns:
            int: Its class, see the table.

        Raises:
            ValueError: If there is no class for it.
        """
        if not 1 <= abs(gap) <= self.max_gap:
            raise ValueError(
                f'A data sample has gap={gap}, but TemporalGapTask tells gaps '
                f'of 1 to {self.max_gap} clip lengths apart: set max_gap of '
                'task and data set to the same number.')
        if self.variant == 'signed':
            return gap + self.max_gap - (gap > 0)
        return abs(gap) - 1
