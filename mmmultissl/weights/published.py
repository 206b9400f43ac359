# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights of other projects become a checkpoint of ours."""
import os.path as osp
from typing import Dict, List, NamedTuple, Optional

import torch
from mmengine.config import Config
from torch import Tensor

from mmmultissl.engine.checkpoint import load_and_compare, require_fit
from mmmultissl.models.selfsup import MultiSSL
from mmmultissl.models.tasks import DenseCLTask, MoCoV2Task
from mmmultissl.registry import MODELS
from mmmultissl.version import __version__

from .files import read_weights
from .layouts import Parts, layout_of, split_parts
from .networks import build_part, infer_resnet
from .timm_names import from_timm

_BACKBONE_HINT = ('Name the network of the file by --config, a config whose '
                  'model.backbone it is.')
_TASKS_HINT = ('Give a config with the one task of the file (leave another '
               'out by --cfg-options model.tasks.NAME=None), and with the '
               "file's network, neck and queue_len.")


class Imported(NamedTuple):
    """A converted file.

    Attributes:
        weights (dict[str, Tensor]): The ``state_dict`` for a checkpoint.
        meta (dict): Plain values: from which file, which layout, which
            network, what was left out and why.
    """
    weights: Dict[str, Tensor]
    meta: dict


def import_weights(path: str,
                   layout: Optional[str] = None,
                   cfg: Optional[Config] = None,
                   with_tasks: bool = False) -> Imported:
    """Convert a file of another project completely, or not at all.

    Args:
        path (str): The file.
        layout (str, optional): One of
            :data:`~mmmultissl.weights.layouts.LAYOUTS`. Defaults to None: the
            file's keys decide.
        cfg (Config, optional): Its ``model.backbone`` is to be filled.
            Defaults to None: the ``mmpretrain.ResNet`` that the shapes tell.
        with_tasks (bool): Whether to fill the whole model of ``cfg``, with
            projection, EMA copies and queues, so that pretraining goes on
            from there. Defaults to False: the backbone alone.

    Returns:
        Imported: Weights and their history.

    Raises:
        ValueError: If the layout or the network is not known, or the file
            has no task to continue.
        RuntimeError: If a key stays unfilled, has another shape, or is one
            that the network does not have.
    """
    weights, origin = read_weights(path)
    found = layout_of(layout, weights, path)
    parts = split_parts(weights, found, path)
    backbone = from_timm(parts.backbone())
    about = dict(origin, layout=found.name)
    if cfg is not None:
        about['config'] = osp.basename(str(cfg.filename))
    if with_tasks:
        model = _continued_model(cfg)
        named = _name_tasks(model, parts, backbone, path)
        told, hint = 'the model of the config', _TASKS_HINT
        about['left_out'] = parts.left_out(('backbone.', 'neck.', 'key.',
                                            'queue'))
    else:
        if cfg is None:
            about['backbone'] = infer_resnet(backbone, path)
            model = MODELS.build(dict(about['backbone']))
        else:
            model = build_part(cfg, 'backbone')
        named = backbone
        told, hint = f'the backbone {type(model).__name__}', _BACKBONE_HINT
        about['left_out'] = parts.left_out(('backbone.', ))
    require_fit(load_and_compare(model, named), told, path, hint)

    filled = model.state_dict()
    about['not_in_file'] = [key for key in filled if key not in named]
    _require_finite(filled, path)
    if not with_tasks:
        filled = {f'backbone.{key}': value for key, value in filled.items()}
    meta = dict(mmmultissl_version=__version__, imported=about)
    return Imported(dict(filled), meta)


def _continued_model(cfg: Optional[Config]) -> MultiSSL:
    if cfg is None:
        raise ValueError('--with-tasks fills a whole model: name its config '
                         'with --config.')
    model = build_part(cfg, 'model')
    if not isinstance(model, MultiSSL):
        raise ValueError(
            f'{cfg.filename} is of a {type(model).__name__}: give a config of '
            'mmmultissl.MultiSSL, or leave out --with-tasks.')
    return model


def _name_tasks(model: MultiSSL, parts: Parts, backbone: Dict[str, Tensor],
                source: str) -> Dict[str, Tensor]:
    """Name the parts of MoCo or DenseCL as a MultiSSL with that task does."""
    if 'queue' not in parts.weights:
        raise ValueError(
            f'{source} has no queue, so there is no MoCo or DenseCL to '
            'continue: leave out --with-tasks.')
    kind = DenseCLTask if 'queue2' in parts.weights else MoCoV2Task
    tasks = [name for name, task in model.tasks.items()
             if isinstance(task, kind)]
    if len(tasks) != 1:
        raise ValueError(
            f'{source} holds one {kind.__name__} and the config has '
            f'{len(tasks)}: give a config with exactly one.')
    task = tasks[0]
    trunk = next(name for name, encoder in model.momentum.items()
                 if task in encoder.tasks)
    starts = (
        ('neck.', f'tasks.{task}.neck.'),
        ('key.neck.', f'momentum.{trunk}.tasks.{task}.neck.'),
        ('queue2', f'tasks.{task}.dense_queue'),
        ('queue', f'tasks.{task}.queue'),
    )
    named = {f'backbone.{key}': value for key, value in backbone.items()}
    keys = {name[len('key.backbone.'):]: value
            for name, value in parts.weights.items()
            if name.startswith('key.backbone.')}
    named.update((f'momentum.{trunk}.backbone.{key}', value)
                 for key, value in from_timm(keys).items())
    for name, value in parts.weights.items():
        for start, ours in starts:
            if not name.startswith(start):
                continue
            if name.endswith('_ptr'):
                named[f'{ours}._extra_state'] = torch.tensor(int(value))
            else:
                end = '.keys' if name == start else name[len(start):]
                named[ours + end] = value
            break
    # At 0 the first update would copy the trunk over its EMA. Files of
    # others do not count their updates; that there were some is enough.
    steps = parts.weights.get('key.steps', torch.tensor(1))
    named[f'momentum.{trunk}._extra_state'] = torch.tensor(int(steps))
    return named


def _require_finite(weights: Dict[str, Tensor], source: str) -> None:
    broken: List[str] = [key for key, value in weights.items()
                         if not torch.isfinite(value).all()]
    if broken:
        raise ValueError(
            f'{source} holds nan or inf in {len(broken)} weights, first in '
            f'{broken[0]}: its training diverged; take an earlier checkpoint.')


def in_words(imported: Imported) -> str:
    """Describe a conversion for the user.

    Args:
        imported (Imported): The result.

    Returns:
        str: Several lines.
    """
    about = imported.meta['imported']
    lines = [
        f'{about["file"]}: layout {about["layout"]}, sha256 '
        f'{about["sha256"]}',
        f'converted: {len(imported.weights)} keys, which is every key of '
        f'{about.get("backbone") or about["config"]}'
    ]
    if about['not_in_file']:
        keys = about['not_in_file']
        lines.append(f'not in the file: {len(keys)} keys such as {keys[0]}: '
                     'batch counters, which old files lack; 0 here')
    for why, keys in about['left_out'].items():
        lines.append(f'left out: {len(keys)} keys ({_groups(keys)}): {why}')
    return '\n'.join(lines)


def _groups(keys: List[str]) -> str:
    """Shorten many keys to encoder_q.fc.*, encoder_k.*, queue"""
    tops: Dict[str, List[str]] = {}
    for key in keys:
        tops.setdefault(key.split('.')[0], []).append(key)
    return ', '.join(
        same[0] if len(same) == 1 else
        f'{osp.commonprefix(same).rpartition(".")[0]}.*'
        for same in tops.values())
