# Copyright (c) mmmultissl contributors. All rights reserved.
"""A detector whose neck takes its widths from the backbone."""
from typing import Union

import torch
import torch.nn as nn
from mmengine.logging import print_log

from mmmultissl.registry import MODELS

from ..backbones.steps import output_channels


@MODELS.register_module()
def NeckFollowsBackbone(detector: str,
                        backbone: dict,
                        neck: Union[dict, list, None] = None,
                        **rest) -> nn.Module:
    """Build a detector of mmdet, its neck as wide as the backbone's maps.

    A neck is built from its config alone and cannot see the backbone, whose
    widths a config has to repeat: with a
    :class:`~mmmultissl.models.ConcatBackbone` they depend on how many columns
    there are. This measures them on another backbone of the same config,
    drawn apart from all other random numbers, and writes them into the neck's
    ``in_channels``. It is a function in the place of a class: what it gives
    is the detector itself, with its keys, in the tools of mmdet too.

        model = dict(type='mmmultissl.NeckFollowsBackbone',
                     detector='mmdet.FasterRCNN', backbone=..., neck=..., ...)

    Args:
        detector (str): Type of the detector, such as ``'mmdet.FasterRCNN'``.
        backbone (dict): Config of the backbone.
        neck (dict | list[dict]): Config of the neck, or of several, of which
            the first reads the backbone; its ``in_channels`` is overwritten.
        **rest: The detector's other arguments.

    Returns:
        nn.Module: The detector.

    Raises:
        ValueError: If there is no neck, or the backbone cannot be measured.
    """
    if not neck:
        raise ValueError(
            f'{detector} has no neck whose in_channels could follow the '
            'backbone: write type='
            f"'{detector}' in place of mmmultissl.NeckFollowsBackbone, and "
            'the widths by hand.')
    with torch.random.fork_rng(devices=[]):
        widths = list(output_channels(MODELS.build(backbone)))
    print_log(
        f'The neck of {detector} reads maps of '
        f'{", ".join(map(str, widths))} channels.',
        logger='current')
    if isinstance(neck, dict):
        neck = dict(neck, in_channels=widths)
    else:
        neck = [dict(neck[0], in_channels=widths), *neck[1:]]
    return MODELS.build(
        dict(rest, type=detector, backbone=backbone, neck=neck))
