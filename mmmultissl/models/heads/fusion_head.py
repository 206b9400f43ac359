# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is predicted from several embeddings together."""
import math
from typing import Optional, Sequence

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor

from mmmultissl.registry import MODELS


@MODELS.register_module()
class FusionHead(BaseModule):
    """A perceptron with one hidden layer on concatenated embeddings.

    Linear, ReLU, dropout, linear (our choice; the paper's heads are not
    known).

    Args:
        in_channels (Sequence[int]): Lengths of the embeddings.
        out_channels (int): Number of outputs. Defaults to 1.
        hidden_channels (int): Width of the hidden layer. Defaults to 512.
        dropout (float): Share of hidden units dropped in training.
            Defaults to 0.5.
        products (int): If not 0, the hidden layer has as many units again
            that are products of linear maps of this many embeddings, the
            first ones: whether two embeddings agree, or by which angle they
            differ, is a sum of such. Defaults to 0.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.
    """

    def __init__(self,
                 in_channels: Sequence[int],
                 out_channels: int = 1,
                 hidden_channels: int = 512,
                 dropout: float = 0.5,
                 products: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.hidden = nn.Sequential(
            nn.Linear(sum(in_channels), hidden_channels),
            nn.ReLU(inplace=True))
        self.factors = nn.ModuleList(
            nn.Linear(channels, hidden_channels)
            for channels in in_channels[:products])
        self.out = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(hidden_channels * (2 if products else 1), out_channels))

    def forward(self, *embeddings: Tensor) -> Tensor:
        """Predict.

        Args:
            *embeddings (Tensor): Each ``(N, C_i)``, in the order of
                ``in_channels``.

        Returns:
            Tensor: Logits, ``(N, out_channels)``.
        """
        hidden = self.hidden(torch.cat(embeddings, dim=1))
        if self.factors:
            product = math.prod(
                factor(e) for factor, e in zip(self.factors, embeddings))
            hidden = torch.cat([hidden, product], dim=1)
        return self.out(hidden)
