# Copyright (c) mmmultissl contributors. All rights reserved.
"""The encoder of the OmniAudio papers, for any number of microphones."""
from typing import Optional, Sequence

import torch
import torch.nn as nn
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from mmmultissl.registry import MODELS

from .staged import StagedBackbone


class ASPP(BaseModule):
    """Atrous spatial pyramid pooling without its closing convolution.

    DeepLabv3 (arXiv:1706.05587), section 3.3: a 1x1 convolution, one 3x3
    convolution per dilation and the mean of the whole map side by side, each
    with norm and ReLU.

    Args:
        in_channels (int): Channels of the input.
        channels (int): Channels of each branch.
        dilations (Sequence[int]): Dilations of the 3x3 branches.
        norm_cfg (dict): Their norm.
    """

    def __init__(self, in_channels: int, channels: int,
                 dilations: Sequence[int], norm_cfg: dict) -> None:
        super().__init__()
        self.point = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.dilated = nn.ModuleList(
            ConvModule(
                in_channels,
                channels,
                3,
                padding=dilation,
                dilation=dilation,
                norm_cfg=norm_cfg) for dilation in dilations)
        self.whole = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.out_channels = channels * (2 + len(self.dilated))

    def forward(self, x: Tensor) -> Tensor:
        """Look at a map at several scales.

        Args:
            x (Tensor): ``(B, in_channels, F, T)``.

        Returns:
            Tensor: ``(B, out_channels, F, T)``.
        """
        branches = [self.point(x)] + [branch(x) for branch in self.dilated]
        whole = self.whole(x.mean((2, 3), keepdim=True))
        branches.append(whole.expand(-1, -1, *x.shape[2:]))
        return torch.cat(branches, dim=1)


class MicrophoneFusion(BaseModule):
    """Makes one map of those of all microphones.

    Args:
        microphones (int): Number M of microphones.
        base_channels (int): Width of the network.
        dilations (Sequence[int]): Of the ASPP.
        norm_cfg (dict): Norm of the ASPP.
    """

    def __init__(self, microphones: int, base_channels: int,
                 dilations: Sequence[int], norm_cfg: dict) -> None:
        super().__init__()
        wide, half = 8 * base_channels, 4 * base_channels
        self.microphones = microphones
        self.reduce = nn.Conv2d(wide, half, 1, bias=False)
        self.mix = nn.Conv2d(microphones * half, wide, 1)
        self.aspp = ASPP(wide, base_channels, dilations, norm_cfg)
        self.project = nn.Conv2d(self.aspp.out_channels, half, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Fuse.

        Args:
            x (Tensor): Maps of the microphones one after the other,
                ``(B * M, 8 * base_channels, F, T)``.

        Returns:
            Tensor: ``(B, 4 * base_channels, F, T)``.
        """
        x = side_by_side(self.reduce(x), self.microphones)
        return self.project(self.aspp(self.mix(x)))


def side_by_side(x: Tensor, microphones: int) -> Tensor:
    """Concatenate the maps of a sample's microphones.

    Args:
        x (Tensor): ``(B * M, C, F, T)``.
        microphones (int): M.

    Returns:
        Tensor: ``(B, M * C, F, T)``.
    """
    return x.reshape(-1, microphones * x.size(1), *x.shape[2:])


@MODELS.register_module()
class OmniAudioNet(StagedBackbone):
    """Encodes spectrograms of several microphones into one map.

    Four 4x4 convolutions of stride 2 with batch norm and LeakyReLU(0.2), the
    same for every microphone, whose maps are then fused. What the code and
    the figures of the OmniAudio papers (ECCV 2020, TPAMI) show: these
    convolutions, the reduction to 256 channels per microphone, the mixing of
    the concatenated maps to 512, ASPP with five branches of 64 channels, and
    the convolution to 256. Our choice: that this "shared encoder" is what is
    pretrained; that maps are not enlarged before they are mixed; dilations
    6, 12, 18 in place of 12, 24, 36, since the map has only 16 rows; any
    number of microphones; other widths.

    ====== ======= =================== ================== ==================
    index  stage   channels (width 64) 257 x 601 (48 kHz) 257 x 201 (16 kHz)
    ====== ======= =================== ================== ==================
    0      conv1   M * 64              128 x 300          128 x 100
    1      conv2   M * 128             64 x 150           64 x 50
    2      conv3   M * 256             32 x 75            32 x 25
    3      conv4   M * 512             16 x 37            16 x 12
    4      fusion  256                 16 x 37            16 x 12
    ====== ======= =================== ================== ==================

    The inputs are clips of 2 s with an FFT of 512 and a hop of 160 samples.
    Outputs of stages 0 to 3 hold the channels of the first microphone, then
    those of the second one, and so on.

    Args:
        in_microphones (int): Number M of microphones. Defaults to 2.
        channels_per_microphone (int): Channels of a microphone's spectrogram:
            1 for power, 2 for real and imaginary part. Defaults to 1.
        base_channels (int): Channels of conv1; the others follow.
            Defaults to 64.
        dilations (Sequence[int]): Of the ASPP. Defaults to (6, 12, 18).
        norm_cfg (dict, optional): The norms.
            Defaults to ``dict(type='BN')``.
        out_indices (Sequence[int]): Stages whose outputs are given.
            Defaults to (4, ).
        frozen_stages (int): How many stages are frozen. Defaults to 0.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to Kaiming's for the convolutions.

    Raises:
        ValueError: If there is no microphone, or no such stage.

    Examples:
        >>> import torch
        >>> from mmmultissl.models import OmniAudioNet
        >>> net = OmniAudioNet(in_microphones=2, base_channels=16)
        >>> [tuple(x.shape) for x in net(torch.randn(3, 2, 257, 201))]
        [(3, 64, 16, 12)]
    """

    def __init__(self,
                 in_microphones: int = 2,
                 channels_per_microphone: int = 1,
                 base_channels: int = 64,
                 dilations: Sequence[int] = (6, 12, 18),
                 norm_cfg: Optional[dict] = None,
                 out_indices: Sequence[int] = (4, ),
                 frozen_stages: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        if in_microphones < 1 or channels_per_microphone < 1:
            raise ValueError(
                f'OmniAudioNet got in_microphones={in_microphones} and '
                f'channels_per_microphone={channels_per_microphone}: set both '
                'to at least 1.')
        norm_cfg = norm_cfg or dict(type='BN')
        widths = [channels_per_microphone
                  ] + [base_channels * 2**i for i in range(4)]
        stages = {
            f'conv{i + 1}': ConvModule(
                widths[i],
                widths[i + 1],
                4,
                stride=2,
                padding=1,
                norm_cfg=norm_cfg,
                act_cfg=dict(type='LeakyReLU', negative_slope=0.2))
            for i in range(4)
        }
        stages['fusion'] = MicrophoneFusion(in_microphones, base_channels,
                                            dilations, norm_cfg)
        super().__init__(
            stages, out_indices, frozen_stages, init_cfg or [
                dict(type='Kaiming', layer='Conv2d', a=0.2),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
            ])
        self.in_microphones = in_microphones
        self.channels_per_microphone = channels_per_microphone

    @property
    def in_channels(self) -> int:
        """int: Channels of the spectrograms of all microphones."""
        return self.in_microphones * self.channels_per_microphone

    def prepare(self, x: Tensor) -> Tensor:
        """Put the microphones one after the other.

        Args:
            x (Tensor): Spectrograms, ``(B, M * channels, F, T)``, the
                channels of a microphone side by side.

        Returns:
            Tensor: ``(B * M, channels, F, T)``: microphones become samples,
            since the convolutions are the same for all.

        Raises:
            ValueError: If the number of microphones is another one.
        """
        if x.dim() != 4 or x.size(1) != self.in_channels:
            raise ValueError(
                f'OmniAudioNet got a batch of shape {tuple(x.shape)}, but '
                f'reads (B, {self.in_channels}, F, T), that is '
                f'{self.in_microphones} '
                f'microphones of {self.channels_per_microphone} channels: set '
                'in_microphones and channels_per_microphone to what the data '
                'have.')
        return x.reshape(-1, self.channels_per_microphone, *x.shape[2:])

    def output(self, name: str, x: Tensor) -> Tensor:
        """Put the microphones of a sample side by side.

        Args:
            name (str): Name of the stage.
            x (Tensor): Its map.

        Returns:
            Tensor: ``(B, channels, F, T)``, see the table.
        """
        return x if name == 'fusion' else side_by_side(x, self.in_microphones)
