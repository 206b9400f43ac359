# Copyright (c) mmmultissl contributors. All rights reserved.
"""A backbone step by step, so that others can be read in between."""
import copy
from typing import Dict, Tuple, Union

import torch
import torch.nn as nn
from torch import Tensor

from .staged import StagedBackbone

_SIDE = 64
_RGB = 3
_RESNETS = ('mmpretrain.models.backbones.resnet.ResNet',
            'mmdet.models.backbones.resnet.ResNet')


class _StagedSteps:
    """The steps of a backbone of ours: its stages.

    Attributes:
        names (tuple[str]): The steps, in their order.
        stages (tuple[str]): Those that ``out_indices`` counts.
    """

    def __init__(self, backbone: StagedBackbone) -> None:
        self._backbone = backbone
        self.names = self.stages = backbone.stage_names

    def prepare(self, x: Tensor) -> Tensor:
        return self._backbone.prepare(x)

    def run(self, name: str, x: Tensor) -> Tensor:
        return getattr(self._backbone, name)(x)

    def output(self, name: str, x: Tensor) -> Tensor:
        return self._backbone.output(name, x)


class _ResNetSteps:
    """The steps of a ResNet: all in front of ``layer1``, and each layer.

    Attributes:
        names (tuple[str]): The steps, in their order.
        stages (tuple[str]): Those that ``out_indices`` counts.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone
        self.stages = tuple(backbone.res_layers)
        self.names = ('stem', ) + self.stages

    def prepare(self, x: Tensor) -> Tensor:
        return x

    def run(self, name: str, x: Tensor) -> Tensor:
        net = self._backbone
        if name != 'stem':
            return getattr(net, name)(x)
        if net.deep_stem:
            return net.maxpool(net.stem(x))
        return net.maxpool(net.relu(net.norm1(net.conv1(x))))

    def output(self, name: str, x: Tensor) -> Tensor:
        return x


Steps = Union[_StagedSteps, _ResNetSteps]


def steps_of(backbone: nn.Module) -> Steps:
    """Take a backbone apart.

    Running all steps one after the other is the backbone's own forward pass.

    Args:
        backbone (nn.Module): A ResNet of mmpretrain or mmdet, or a
            :class:`StagedBackbone`.

    Returns:
        Steps: With ``names``, ``stages``, ``prepare(x)``, ``run(name, x)``
        and ``output(name, x)``.

    Raises:
        ValueError: If it is another network.
    """
    if isinstance(backbone, StagedBackbone):
        return _StagedSteps(backbone)
    # A subclass may go through its layers in another way.
    owner = next(cls for cls in type(backbone).__mro__
                 if 'forward' in vars(cls))
    if f'{owner.__module__}.{owner.__qualname__}' in _RESNETS:
        return _ResNetSteps(backbone)
    raise ValueError(
        f'{type(backbone).__name__} cannot be taken apart into steps: name '
        'a ResNet of mmpretrain or mmdet, or a StagedBackbone such as '
        'mmmultissl.OmniAudioNet.')


def step_shapes(backbone: nn.Module) -> Dict[str, Tuple[int, int, int]]:
    """Measure what each step of a backbone gives.

    Args:
        backbone (nn.Module): As in :func:`steps_of`; it stays as it is.

    Returns:
        dict[str, tuple[int]]: Name of the step -> channels, height and width
        of its map, for an input of 64 x 64.
    """
    probe, x = _probe(backbone)
    steps = steps_of(probe)
    shapes = {}
    with torch.no_grad():
        x = steps.prepare(x)
        for name in steps.names:
            x = steps.run(name, x)
            shapes[name] = tuple(x.shape[1:])
    return shapes


def output_channels(backbone: nn.Module) -> Tuple[int, ...]:
    """Measure how many channels each output of a backbone has.

    Nothing is computed: the pass is one of shapes alone.

    Args:
        backbone (nn.Module): Any; it stays as it is. One with an attribute
            ``out_channels``, one number per output, is asked.

    Returns:
        tuple[int]: Channels of each output.

    Raises:
        ValueError: If it does not run on an image of 64 pixels.
    """
    known = getattr(backbone, 'out_channels', None)
    if isinstance(known, (tuple, list)):
        return tuple(known)
    probe, x = _probe(backbone)
    try:
        with torch.no_grad():
            outputs = probe(x)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ValueError(
            f'The channels of {type(backbone).__name__} could not be '
            f'measured on an image of {_SIDE} pixels ({error}): give the '
            'class an attribute out_channels, one number per output.'
        ) from error
    outputs = outputs if isinstance(outputs, tuple) else (outputs, )
    return tuple(output.size(1) for output in outputs)


def _probe(backbone: nn.Module) -> Tuple[nn.Module, Tensor]:
    """A copy without memory, and an input for it."""
    channels = getattr(backbone, 'in_channels', None)
    if not isinstance(channels, int):
        first = next((module for module in backbone.modules()
                      if isinstance(module, nn.Conv2d)), None)
        channels = _RGB if first is None else first.in_channels
    x = torch.empty(1, channels, _SIDE, _SIDE, device='meta')
    probe = copy.deepcopy(backbone).to('meta')
    probe.eval()  # which a ResNet of mmpretrain answers by None
    return probe, x
