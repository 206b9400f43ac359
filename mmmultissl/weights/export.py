# Copyright (c) mmmultissl contributors. All rights reserved.
"""A backbone of ours in the words of mmpretrain, torchvision or timm."""
from copy import deepcopy
from types import ModuleType
from typing import Dict, List, Tuple

import torch
import torchvision
from mmpretrain.models import ResNet, ResNetV1c, ResNetV1d
from mmpretrain.models.backbones.resnet import Bottleneck
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .timm_names import to_timm

FORMATS = ('mmpretrain', 'torchvision', 'timm')
# Relative, in float64: the two networks do the same operations.
TOLERANCE = 1e-9
_STAGES = ('layer1', 'layer2', 'layer3', 'layer4')


def export_backbone(backbone: nn.Module,
                    form: str) -> Tuple[Dict[str, Tensor], float]:
    """Name a backbone's weights as another project does, and check them.

    ``torchvision`` and ``timm`` are for ResNets: the other project's own
    network is filled, every key, and must give the same features of a random
    batch. The names ``mmpretrain`` (with ``backbone.`` before them) are for
    any backbone.

    Args:
        backbone (nn.Module): The filled backbone.
        form (str): One of :data:`FORMATS`.

    Returns:
        tuple[dict[str, Tensor], float]: Key -> value, and the largest
        relative difference of the features of any stage (0 for
        ``mmpretrain``, where there is no second network).

    Raises:
        ValueError: If the other project has no such network.
        RuntimeError: If the features differ.
    """
    weights = backbone.state_dict()
    if form == 'mmpretrain':
        return {f'backbone.{key}': value
                for key, value in weights.items()}, 0.
    twin = build_twin(backbone, form)
    if form == 'timm':
        weights = to_timm(weights)
    twin.load_state_dict(weights)
    difference = compare_features(backbone, twin)
    # Written so that nan is refused too.
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"The features of {form}'s network differ from ours by "
            f'{difference:.1e} of the largest, more than {TOLERANCE:.0e}, so '
            'nothing was written: export to mmpretrain, and compare the two '
            'networks.')
    return dict(weights), difference


def build_twin(backbone: nn.Module, form: str) -> nn.Module:
    """Build the other project's network of the same shape.

    Args:
        backbone (nn.Module): A ResNet of mmpretrain.
        form (str): ``torchvision`` or ``timm``. A plain ResNet has the same
            keys in both, and torchvision's network serves for timm's.

    Returns:
        nn.Module: Without a classifier, and with weights of its own.

    Raises:
        ValueError: If there is no such network.
        ImportError: If timm is needed and not installed.
    """
    reasons = _differences(backbone, form)
    if reasons:
        raise ValueError(
            f"The backbone cannot be exported to {form}'s names: "
            f'{"; ".join(reasons)}; export it with --format mmpretrain.')
    blocks = list(backbone.stage_blocks)
    bottleneck = backbone.block is Bottleneck
    width = backbone.base_channels if bottleneck else 64
    if not (backbone.deep_stem or backbone.avg_down):
        kind = torchvision.models.resnet
        twin = kind.ResNet(kind.Bottleneck if bottleneck else kind.BasicBlock,
                           blocks, width_per_group=width)
        twin.fc = nn.Identity()
        return twin
    kind = _require_timm()
    return kind.ResNet(
        kind.Bottleneck if bottleneck else kind.BasicBlock,
        blocks,
        num_classes=0,
        base_width=width,
        stem_width=backbone.stem_channels // 2,
        stem_type='deep' if backbone.deep_stem else '',
        avg_down=backbone.avg_down)


def _differences(backbone: nn.Module, form: str) -> List[str]:
    """List what the other project's ResNet cannot express."""
    if type(backbone) not in (ResNet, ResNetV1c, ResNetV1d):
        kind = type(backbone)
        return [f'it is a {kind.__module__}.{kind.__name__} and not a ResNet '
                'of mmpretrain']
    bottleneck = backbone.block is Bottleneck
    stem_conv = (backbone.stem[0].conv
                 if backbone.deep_stem else backbone.conv1)
    outputs = backbone.base_channels * backbone.expansion
    told = (
        (bottleneck and backbone.style != 'pytorch',
         f'style={backbone.style!r} has its strides in another convolution'),
        (tuple(backbone.strides) != (1, 2, 2, 2)
         or set(backbone.dilations) != {1},
         'it has other strides or dilations, or fewer stages'),
        (outputs != (256 if bottleneck else 64),
         f'its first stage has {outputs} channels'),
        (backbone.stem_channels != 64 or stem_conv.in_channels != 3,
         'its stem has other channels'),
        (not any(isinstance(m, _BatchNorm) for m in backbone.modules()),
         'it has no batch norm'),
        (form == 'torchvision' and (backbone.deep_stem or backbone.avg_down),
         'torchvision has no deep stem and no pooled shortcuts (timm has)'),
    )
    return [reason for differs, reason in told if differs]


def _require_timm() -> ModuleType:
    try:
        import timm.models.resnet
    except ImportError as error:
        raise ImportError(
            'A ResNet with a deep stem or pooled shortcuts is compared with '
            "timm's own network, and timm is not installed: pip install "
            'timm.') from error
    return timm.models.resnet


def compare_features(backbone: nn.Module, twin: nn.Module) -> float:
    """Compare two ResNets on a random batch.

    Both compute in float64 and evaluation mode. The sides of the images are
    odd and unequal, so that a different padding or pooling shows.

    Args:
        backbone (nn.Module): The one; has ``layer1`` to ``layer4``.
        twin (nn.Module): The other.

    Returns:
        float: Largest difference in the maps of any stage, divided by the
        stage's largest value.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 97, 75, generator=generator,
                         dtype=torch.float64)
    differences = [
        float((ours - theirs).abs().max() / ours.abs().max())
        if ours.shape == theirs.shape else float('inf')
        for ours, theirs in zip(_stage_maps(backbone, images),
                                _stage_maps(twin, images))
    ]
    return max(differences, key=lambda value: (value != value, value))


@torch.no_grad()
def _stage_maps(network: nn.Module, images: Tensor) -> List[Tensor]:
    network = deepcopy(network).double()
    network.eval()  # mmpretrain's ResNet returns None here
    maps: List[Tensor] = []
    for stage in _STAGES:
        getattr(network, stage).register_forward_hook(
            lambda _module, _inputs, output: maps.append(output))
    network(images)
    return maps
