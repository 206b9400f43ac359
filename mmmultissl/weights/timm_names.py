# Copyright (c) mmmultissl contributors. All rights reserved.
"""The keys of mmpretrain's ResNets in timm's words, and back.

Plain ResNets have torchvision's names in both. Deep stems (ResNet-C and -D)
and average-pooled shortcuts (ResNet-D) are the same networks under other
names.
"""
from typing import Dict, Mapping, Sequence, Tuple

from torch import Tensor

# mmpretrain's beginning of a key, timm's.
_DEEP_STEM = (
    ('stem.0.conv.', 'conv1.0.'),
    ('stem.0.bn.', 'conv1.1.'),
    ('stem.1.conv.', 'conv1.3.'),
    ('stem.1.bn.', 'conv1.4.'),
    ('stem.2.conv.', 'conv1.6.'),
    ('stem.2.bn.', 'bn1.'),
)
# Where nothing is pooled, timm counts an identity and mmpretrain does not.
_SHORTCUT = (
    ('layer1.0.downsample.0.', 'layer1.0.downsample.1.'),
    ('layer1.0.downsample.1.', 'layer1.0.downsample.2.'),
)


def to_timm(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Rename mmpretrain's keys of a ResNet to timm's.

    Args:
        weights (Mapping[str, Tensor]): Of a backbone, without prefix.

    Returns:
        dict[str, Tensor]: timm's name -> value.
    """
    table: Tuple = ()
    if 'stem.0.conv.weight' in weights:
        table += _DEEP_STEM
    if 'layer2.0.downsample.2.weight' in weights:
        table += _SHORTCUT
    return {_renamed(key, table): value for key, value in weights.items()}


def from_timm(weights: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """Rename timm's keys of a ResNet to mmpretrain's.

    Args:
        weights (Mapping[str, Tensor]): Of a backbone, without prefix; those
            that have mmpretrain's names already stay as they are.

    Returns:
        dict[str, Tensor]: mmpretrain's name -> value.
    """
    table: Tuple = ()
    if 'conv1.0.weight' in weights:
        table += _DEEP_STEM
    if 'layer1.0.downsample.2.weight' in weights:
        table += _SHORTCUT
    back = [(timm, mmpretrain) for mmpretrain, timm in table]
    return {_renamed(key, back): value for key, value in weights.items()}


def _renamed(key: str, table: Sequence[Tuple[str, str]]) -> str:
    for start, new in table:
        if key.startswith(start):
            return new + key[len(start):]
    return key
