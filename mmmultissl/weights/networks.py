# Copyright (c) mmmultissl contributors. All rights reserved.
"""The network that weights belong to: from a config, or from their shapes."""
import re
from typing import Mapping

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.backbones.resnet import Bottleneck, ResNet
from torch import Tensor, nn


def build_part(cfg: Config, part: str) -> nn.Module:
    """Build the model of a config, or its backbone alone.

    Args:
        cfg (Config): Any config with a model.
        part (str): ``model`` or ``backbone``.

    Returns:
        nn.Module: As built, its weights not initialised.

    Raises:
        ValueError: If the config has no such part.
    """
    model = cfg.get('model') or {}
    wanted = model.get('backbone') if part == 'backbone' else model
    if not wanted:
        raise ValueError(f'{cfg.filename} has no model.backbone: give a '
                         'pretraining config.')
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    return MODELS.build(ConfigDict(wanted))


def infer_resnet(weights: Mapping[str, Tensor], source: str) -> dict:
    """Find the config of the ResNet that weights belong to.

    The shapes do not tell in which convolution of a bottleneck the stride
    lies; it is taken to be the 3x3 one (``style='pytorch'``), as in all
    projects whose layouts we know. Strides and dilations are the usual ones.

    Args:
        weights (Mapping[str, Tensor]): Of a backbone, in mmpretrain's names.
        source (str): Name of the file for the error.

    Returns:
        dict: Config of an ``mmpretrain.ResNet``; what is not named has its
        default.

    Raises:
        ValueError: If this is none of the ResNets that mmpretrain has.
    """
    advice = ('name the network by --config, a config whose model.backbone '
              'it is')
    stem = [key for key in ('stem.0.conv.weight', 'stem.2.conv.weight',
                            'conv1.weight') if key in weights]
    needed = ('layer1.0.conv1.weight', 'layer1.0.conv2.weight')
    if not stem or not all(key in weights for key in needed):
        raise ValueError(f'{source} holds no ResNet that could be recognised: '
                         f'{advice}.')
    blocks = tuple(_count_blocks(weights, stage) for stage in range(1, 5))
    bottleneck = 'layer1.0.conv3.weight' in weights
    depths = [
        depth for depth, (block, counts) in ResNet.arch_settings.items()
        if counts == blocks and (block is Bottleneck) == bottleneck
    ]
    first, second = (weights[key] for key in needed)
    if not depths or second.shape[1] != first.shape[0]:
        kind = 'bottlenecks' if bottleneck else 'basic blocks'
        groups = first.shape[0] // second.shape[1]
        raise ValueError(
            f'{source} holds {blocks} {kind}'
            f'{f" of {groups} groups" if groups != 1 else ""}, which is none '
            f'of the ResNets of mmpretrain: {advice}.')
    found = dict(
        in_channels=weights[stem[0]].shape[1],
        stem_channels=weights[stem[-1]].shape[0],
        base_channels=first.shape[0],
        deep_stem=stem[0] != 'conv1.weight',
        avg_down='layer2.0.downsample.2.weight' in weights)
    usual = dict(in_channels=3, stem_channels=64, base_channels=64,
                 deep_stem=False, avg_down=False)
    cfg = dict(type='mmpretrain.ResNet', depth=depths[0])
    cfg.update({key: value for key, value in found.items()
                if value != usual[key]})
    if bottleneck:
        # A wide ResNet's bottleneck is widened by less than four times.
        ratio = weights['layer1.0.conv3.weight'].shape[0] / first.shape[0]
        if ratio != 4:
            cfg['expansion'] = int(ratio)
    return cfg


def _count_blocks(weights: Mapping[str, Tensor], stage: int) -> int:
    numbers = (re.match(rf'layer{stage}\.(\d+)\.', key) for key in weights)
    return len({number.group(1) for number in numbers if number})
