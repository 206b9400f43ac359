# Copyright (c) mmmultissl contributors. All rights reserved.
"""The audio network of audio-visual spatial alignment."""
from typing import Optional, Sequence

import torch.nn as nn
from mmcv.cnn import ConvModule

from mmmultissl.registry import MODELS

from .staged import StagedBackbone


@MODELS.register_module()
class Conv2D10(StagedBackbone):
    """Ten convolutions on the stacked spectrograms of all microphones.

    After the description of the audio network of Morgado et al., "Learning
    Representations from Audio-Visual Spatial Alignment" (NeurIPS 2020): a 7x7
    convolution of stride 2 to 64 channels, then blocks of two 3x3
    convolutions with 64, 128, 256 and 512 channels, batch norm and ReLU
    throughout. Our choice: strides 1, 2, 2, 2 at the start of the blocks; the
    tenth convolution is 1x1 without norm, which under average pooling is
    their closing linear layer; pooling is left to who reads the map.

    ====== ======= ========= ================== ==================
    index  stage   channels  257 x 601 (48 kHz) 257 x 201 (16 kHz)
    ====== ======= ========= ================== ==================
    0      conv1   64        129 x 301          129 x 101
    1      block1  64        129 x 301          129 x 101
    2      block2  128       65 x 151           65 x 51
    3      block3  256       33 x 76            33 x 26
    4      block4  512       17 x 38            17 x 13
    5      conv10  512       17 x 38            17 x 13
    ====== ======= ========= ================== ==================

    Args:
        in_channels (int): Channels of the input: microphones, times two for
            real and imaginary part. Defaults to 2.
        base_channels (int): Channels of conv1; the others follow.
            Defaults to 64.
        norm_cfg (dict, optional): The norms.
            Defaults to ``dict(type='BN')``.
        out_indices (Sequence[int]): Stages whose outputs are given.
            Defaults to (5, ).
        frozen_stages (int): How many stages are frozen. Defaults to 0.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to Kaiming's for the convolutions.

    Raises:
        ValueError: If there is no such stage.
    """

    def __init__(self,
                 in_channels: int = 2,
                 base_channels: int = 64,
                 norm_cfg: Optional[dict] = None,
                 out_indices: Sequence[int] = (5, ),
                 frozen_stages: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        norm_cfg = norm_cfg or dict(type='BN')
        stages = dict(
            conv1=ConvModule(
                in_channels,
                base_channels,
                7,
                stride=2,
                padding=3,
                norm_cfg=norm_cfg))
        width = base_channels
        for i in range(4):
            last, width = width, base_channels * 2**i
            stages[f'block{i + 1}'] = nn.Sequential(
                ConvModule(
                    last,
                    width,
                    3,
                    stride=1 if i == 0 else 2,
                    padding=1,
                    norm_cfg=norm_cfg),
                ConvModule(width, width, 3, padding=1, norm_cfg=norm_cfg))
        stages['conv10'] = nn.Conv2d(width, width, 1)
        super().__init__(
            stages, out_indices, frozen_stages, init_cfg or [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
            ])
        self.in_channels = in_channels
