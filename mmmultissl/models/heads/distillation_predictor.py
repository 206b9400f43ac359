# Copyright (c) mmmultissl contributors. All rights reserved.
"""What lets a student differ from its teacher."""
from typing import Optional

import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor

from mmmultissl.registry import MODELS


@MODELS.register_module()
class DistillationPredictor(BaseModule):
    """Predicts the teacher's features from the student's.

    Linear, batch norm, ReLU, linear, of 2048 hidden units: that of CaSSLe
    (arXiv:2112.04215, and its authors' code). The student then has to contain
    what the teacher knew, not to repeat it. Without hidden units it is one
    linear layer, the regressor of FitNets (arXiv:1412.6550).

    Args:
        in_channels (int): Channels of the student's features.
        out_channels (int, optional): Channels of the teacher's. Defaults to
            None: the same.
        hidden_channels (int): Width of the hidden layer; 0 for none.
            Defaults to 2048.
        dense (bool): Whether it reads ``(N, C, H, W)``, cell by cell with 1x1
            convolutions, in place of ``(N, C)``. The task sets this to what
            its features are. Defaults to False.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None: torch's.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: Optional[int] = None,
                 hidden_channels: int = 2048,
                 dense: bool = False,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        out_channels = out_channels or in_channels

        def linear(wide: int, narrow: int) -> nn.Module:
            return nn.Conv2d(wide, narrow, 1) if dense else nn.Linear(
                wide, narrow)

        if hidden_channels:
            norm = nn.BatchNorm2d if dense else nn.BatchNorm1d
            self.layers = nn.Sequential(
                linear(in_channels, hidden_channels), norm(hidden_channels),
                nn.ReLU(inplace=True), linear(hidden_channels, out_channels))
        else:
            self.layers = linear(in_channels, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Predict.

        Args:
            features (Tensor): ``(N, in_channels)``, or dense
                ``(N, in_channels, H, W)``.

        Returns:
            Tensor: The same with ``out_channels``.
        """
        return self.layers(features)
