# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a column of a progressive network reads of those before it."""
from typing import Dict, Optional, Union

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor


class LateralAdapter(BaseModule):
    """A small network from the maps of earlier columns to one of this one.

    Rusu et al., "Progressive Neural Networks" (arXiv:1606.04671), equation 2
    and the adapters of section 2: each earlier column's map is scaled by a
    learned number, projected by a 1x1 convolution, summed over the columns,
    passed through a ReLU and projected again,
    ``expand(relu(sum_j scale_j * reduce_j(h_j)))``.

    Our choices: the second projection is 1x1 as well, and the result is added
    to the input of a stage rather than inside its first nonlinearity, since
    stages are residual; no biases. The second projection starts at zero, so
    that a column starts as the plain network and what it then reads of the
    others is what lowered its loss; the first one gets a gradient from the
    second step on. The paper starts from small random scales: ``zero_init=
    False`` with ``scale=0.01``.

    Args:
        in_channels (dict[str, int]): Column -> channels of its map.
        out_channels (int): Channels of this column's map.
        hidden_channels (int, optional): Width between the projections.
            Defaults to None: ``out_channels``, as in the paper.
        zero_init (bool): Whether the second projection starts at zero.
            Defaults to True.
        scale (float): First value of the learned scales. Defaults to 1.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to Kaiming's for the convolutions, then zeros.
    """

    def __init__(self,
                 in_channels: Dict[str, int],
                 out_channels: int,
                 hidden_channels: Optional[int] = None,
                 zero_init: bool = True,
                 scale: float = 1.,
                 init_cfg: Union[dict, list, None] = None) -> None:
        last = dict(type='Constant', name='expand', val=0)
        drawn = dict(type='Kaiming', layer='Conv2d')
        super().__init__(
            init_cfg or (dict(drawn, override=last) if zero_init else drawn))
        hidden = hidden_channels or out_channels
        self.scales = nn.ParameterDict({
            name: nn.Parameter(torch.full((1, ), float(scale)))
            for name in in_channels
        })
        self.reduce = nn.ModuleDict({
            name: nn.Conv2d(channels, hidden, 1, bias=False)
            for name, channels in in_channels.items()
        })
        self.expand = nn.Conv2d(hidden, out_channels, 1, bias=False)
        if zero_init:
            nn.init.zeros_(self.expand.weight)

    def forward(self, maps: Dict[str, Tensor]) -> Tensor:
        """Read the earlier columns.

        Args:
            maps (dict[str, Tensor]): Column -> map, each ``(N, C, H, W)``.

        Returns:
            Tensor: ``(N, out_channels, H, W)``.
        """
        # The scale meets the weight, which is smaller than the map.
        hidden = sum(
            F.conv2d(maps[name], self.scales[name] * reduce.weight)
            for name, reduce in self.reduce.items())
        return self.expand(F.relu(hidden))
