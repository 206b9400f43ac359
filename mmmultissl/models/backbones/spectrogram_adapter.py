# Copyright (c) mmmultissl contributors. All rights reserved.
"""Image backbones that read spectrograms."""
from typing import Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor

from mmmultissl.registry import MODELS

_RGB = 3


class SpectrogramConv2d(nn.Conv2d):
    """A convolution that takes weights made for colour images.

    Loading a weight of three input channels into another number M of them
    gives each the mean over the colours, times ``3 / M``: an M-channel input
    whose channels are equal then gives what the grey image gave.
    """

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args) -> None:
        key = f'{prefix}weight'
        weight = state_dict.get(key)
        if weight is not None and weight.size(1) == _RGB != self.in_channels:
            print_log(
                f'{key} was made for {_RGB} colours: each of the '
                f'{self.in_channels} channels starts from their mean.',
                logger='current')
            state_dict = dict(state_dict)
            state_dict[key] = spread_over_channels(weight, self.in_channels)
        super()._load_from_state_dict(state_dict, prefix, *args)


def spread_over_channels(weight: Tensor, channels: int) -> Tensor:
    """Make a first convolution's weight read another number of channels.

    Args:
        weight (Tensor): ``(out, in, h, w)``.
        channels (int): The number M that it shall read.

    Returns:
        Tensor: ``(out, M, h, w)``, the mean over ``in`` times ``in / M``.
    """
    mean = weight.mean(dim=1, keepdim=True) * (weight.size(1) / channels)
    return mean.repeat(1, channels, 1, 1)


@MODELS.register_module()
class SpectrogramAdapter(BaseModule):
    """Lets an image backbone read ``(B, M, F, T)`` spectrograms.

    Its first convolution is replaced by one with M input channels. Weights
    for colour images, such as ImageNet's, load into it
    (:class:`SpectrogramConv2d`): give the inner backbone its usual
    ``init_cfg`` of type ``Pretrained``. Weights that were saved by the
    adapter load unchanged; below it they lie at ``backbone.``.

    The inputs are not normalised; the batch norm behind most first
    convolutions does that. All microphones start with equal weights from a
    pretrained file and part in training.

    Args:
        backbone (dict): Config of the image backbone, such as
            ``dict(type='mmpretrain.ResNet', depth=18)``.
        in_channels (int): Channels M of the spectrograms. Defaults to 2.
        resize (Sequence[int], optional): Height and width that spectrograms
            are brought to, bilinearly, for backbones of one input size such as
            vision transformers. Defaults to None: as they are.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None: the inner backbone's own.

    Raises:
        ValueError: If the backbone has no convolution to replace.

    Examples:
        >>> import torch
        >>> from mmmultissl.models import SpectrogramAdapter
        >>> net = SpectrogramAdapter(dict(type='mmpretrain.ResNet', depth=18))
        >>> [tuple(x.shape) for x in net(torch.randn(1, 2, 257, 201))]
        [(1, 512, 9, 7)]
    """

    def __init__(self,
                 backbone: dict,
                 in_channels: int = 2,
                 resize: Optional[Sequence[int]] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.resize = None if resize is None else tuple(resize)
        self.backbone = MODELS.build(backbone)
        _replace_first_conv(self.backbone, in_channels)

    @property
    def out_indices(self) -> Sequence[int]:
        """Sequence[int]: The stages that the inner backbone gives."""
        return self.backbone.out_indices

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Encode.

        Args:
            x (Tensor): Spectrograms, ``(B, M, F, T)``.

        Returns:
            tuple[Tensor]: What the inner backbone gives.
        """
        if self.resize is not None and x.shape[2:] != self.resize:
            x = F.interpolate(
                x, self.resize, mode='bilinear', align_corners=False)
        return self.backbone(x)


def _replace_first_conv(backbone: nn.Module, in_channels: int) -> None:
    name, old = next(((name, module)
                      for name, module in backbone.named_modules()
                      if isinstance(module, nn.Conv2d)), (None, None))
    wanted = (_RGB, in_channels)
    if old is None or old.groups != 1 or old.in_channels not in wanted:
        what = 'no 2-D convolution' if old is None else (
            f'a first convolution of {old.in_channels} channels in '
            f'{old.groups} groups')
        raise ValueError(
            f'{type(backbone).__name__} has {what}, so SpectrogramAdapter '
            'cannot tell where it reads its input: name a backbone that '
            'starts with a convolution of the three colours.')
    new = SpectrogramConv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        old.dilation,
        bias=old.bias is not None,
        padding_mode=old.padding_mode)
    with torch.no_grad():
        # Frozen stems stay frozen.
        new.weight.requires_grad_(old.weight.requires_grad)
        if old.bias is not None:
            new.bias.copy_(old.bias).requires_grad_(old.bias.requires_grad)
    parent, _, attribute = name.rpartition('.')
    setattr(backbone.get_submodule(parent), attribute, new)
