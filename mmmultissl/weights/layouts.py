# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which key means what in the files of other projects.

A layout renames the keys of a file to parts with one vocabulary:
``backbone.*`` and ``neck.*`` (trained), ``key.backbone.*`` and ``key.neck.*``
(their EMA copies), ``queue``, ``queue2`` and their write positions ``*_ptr``.
The patterns follow from the module attributes of the projects' models.
"""
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

_OTHER = 'other.'
_QUEUES = (r'^(queue2?(?:_ptr)?)$', r'\1')


class Layout(NamedTuple):
    """How one family of projects names its weights.

    Attributes:
        name (str): As ``--layout`` takes it.
        about (str): Whose files these are.
        mark (str): Pattern of a key that only this layout has.
        rules (tuple): (pattern of a key, its name here), the first that fits
            counts.
    """
    name: str
    about: str
    mark: str
    rules: Tuple[Tuple[str, str], ...]


LAYOUTS: Dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            'moco', "MoCo v1 and v2, the authors' files",
            r'^encoder_q\.(conv1|layer1)\.', (
                (r'^encoder_q\.fc\.(?=\d)', 'neck.mlp.'),
                (r'^encoder_q\.fc\.', 'neck.fc.'),
                (r'^encoder_q\.', 'backbone.'),
                (r'^encoder_k\.fc\.(?=\d)', 'key.neck.mlp.'),
                (r'^encoder_k\.fc\.', 'key.neck.fc.'),
                (r'^encoder_k\.', 'key.backbone.'),
                _QUEUES,
            )),
        Layout(
            'mocov3', "MoCo v3, the authors' files of ResNets",
            r'^base_encoder\.(conv1|layer1)\.', (
                (r'^base_encoder\.fc\.', 'neck.'),
                (r'^base_encoder\.', 'backbone.'),
                (r'^momentum_encoder\.fc\.', 'key.neck.'),
                (r'^momentum_encoder\.', 'key.backbone.'),
                (r'^predictor\.', 'head.'),
            )),
        Layout(
            'openmmlab', "OpenSelfSup with the DenseCL authors' training "
            'files, mmselfsup, mmpretrain, mmdet, mmmultissl',
            r'^(backbone|(encoder_q|online_net)\.0)\.', (
                (r'^(?:encoder_q|online_net)\.0\.', 'backbone.'),
                (r'^(?:encoder_q|online_net)\.1\.', 'neck.'),
                (r'^(?:encoder_k|target_net)\.(?:module\.)?0\.',
                 'key.backbone.'),
                (r'^(?:encoder_k|target_net)\.(?:module\.)?1\.', 'key.neck.'),
                (r'^(?:encoder_k|target_net)\.steps$', 'key.steps'),
                (r'^(backbone|neck|head|tasks|momentum)\.', r'\1.'),
                _QUEUES,
            )),
        Layout(
            'torchvision', 'torchvision and timm, and backbones that the '
            'DenseCL authors or mmselfsup extracted',
            r'^(conv1|stem|layer1)\.', (
                (r'^(?:fc|head|classifier|last_linear)\.', 'head.'),
                (r'^', 'backbone.'),
            )),
    )
}

# Why a part is left out, by the beginning of its name.
_REASONS = {
    'neck.': 'projection of the pretraining, or neck of a detector',
    'key.': 'EMA copy of the encoder and its projection',
    'queue': 'queue of negative keys and its position',
    'head.': 'classifier, predictor or other head',
    'tasks.': 'tasks of mmmultissl',
    'momentum.': 'EMA trunks of mmmultissl',
    _OTHER: 'outside the backbone',
}


class Parts(NamedTuple):
    """The weights of a file in our vocabulary.

    Attributes:
        weights (dict[str, Tensor]): Name of the part's key -> value.
        origin (dict[str, list[str]]): Name -> the file's keys for it.
    """
    weights: Dict[str, Tensor]
    origin: Dict[str, List[str]]

    def backbone(self) -> Dict[str, Tensor]:
        """Get the backbone's weights, without their prefix.

        Returns:
            dict[str, Tensor]: Key -> value.
        """
        start = 'backbone.'
        return {
            name[len(start):]: value
            for name, value in self.weights.items() if name.startswith(start)
        }

    def left_out(self, kept: Tuple[str, ...]) -> Dict[str, List[str]]:
        """List the file's keys that are not converted, and why.

        Args:
            kept (tuple[str]): Beginnings of the names that are.

        Returns:
            dict[str, list[str]]: Reason -> keys of the file.
        """
        found: Dict[str, List[str]] = {}
        for name, keys in self.origin.items():
            if not name.startswith(kept):
                found.setdefault(_reason(name), []).extend(keys)
        return found


def _reason(name: str) -> str:
    return next(why for start, why in _REASONS.items()
                if name.startswith(start))


def recognise(weights: Mapping[str, Tensor], source: str) -> Layout:
    """Find the layout of a file by its keys.

    Args:
        weights (Mapping[str, Tensor]): The weights, without ``module.``.
        source (str): Name of the file for the error.

    Returns:
        Layout: The only one that fits.

    Raises:
        ValueError: If none fits, or several do.
    """
    fits = [
        layout for layout in LAYOUTS.values()
        if any(re.match(layout.mark, key) for key in weights)
    ]
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = ' and '.join(layout.name for layout in fits)
        raise ValueError(f'{source} has keys of the layouts {names}: choose '
                         'one with --layout.')
    if any(key.endswith('pos_embed') for key in weights):
        raise ValueError(
            f'{source} holds a vision transformer, and only ResNets are '
            "converted: look among mmpretrain's tools/model_converters.")
    tops = sorted({key.split('.')[0] for key in weights})
    raise ValueError(
        f'{source} has none of the known layouts ({", ".join(LAYOUTS)}), its '
        f'keys start with {", ".join(tops[:20])}: give a checkpoint of a '
        'ResNet from one of the projects in docs/weights.md.')


def split_parts(weights: Mapping[str, Tensor],
                layout: Layout,
                source: str = 'the file') -> Parts:
    """Rename a file's weights to parts.

    OpenSelfSup's files hold the encoder twice, as ``backbone.*`` and in
    ``encoder_q.0.*`` or ``online_net.0.*``; both must be equal.

    Args:
        weights (Mapping[str, Tensor]): The weights, without ``module.``.
        layout (Layout): Their layout.
        source (str): Name of the file for the error. Defaults to 'the file'.

    Returns:
        Parts: All of them; keys that no rule names begin with ``other.``.

    Raises:
        ValueError: If there is no backbone, or two keys for one weight
            differ.
    """
    parts = Parts({}, {})
    for key, value in weights.items():
        name = _renamed(key, layout)
        known = parts.weights.setdefault(name, value)
        if known is not value and not torch.equal(known, value):
            raise ValueError(
                f'{source} holds two different values for {name}, in '
                f'{parts.origin[name][0]} and {key}: take the file as its '
                'training wrote it.')
        parts.origin.setdefault(name, []).append(key)
    if not parts.backbone():
        raise ValueError(
            f'{source} has no backbone in the layout {layout.name} '
            f'({layout.about}): leave out --layout, or name another one.')
    return parts


def _renamed(key: str, layout: Layout) -> str:
    for pattern, name in layout.rules:
        renamed, done = re.subn(pattern, name, key, count=1)
        if done:
            return renamed
    return _OTHER + key


def layout_of(name: Optional[str], weights: Mapping[str, Tensor],
              source: str) -> Layout:
    """Get the layout that is named, or recognise it.

    Args:
        name (str, optional): One of :data:`LAYOUTS`.
        weights (Mapping[str, Tensor]): The weights, without ``module.``.
        source (str): Name of the file for the error.

    Returns:
        Layout: The layout.

    Raises:
        ValueError: If there is no such layout, or none is recognised.
    """
    if name is None:
        return recognise(weights, source)
    if name not in LAYOUTS:
        raise ValueError(f'There is no layout {name}: choose one of '
                         f'{", ".join(LAYOUTS)}.')
    return LAYOUTS[name]
