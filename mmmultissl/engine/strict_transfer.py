# Copyright (c) mmmultissl contributors. All rights reserved.
"""Fill a module from a checkpoint completely, or say what does not fit.

mmengine loads ``Pretrained`` weights and ``load_from`` with a warning where
keys do not match, so that a wrong prefix trains from scratch unnoticed.
"""
import logging
import re
from collections import OrderedDict
from typing import Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from mmengine.logging import print_log
from mmengine.model import PretrainedInit
from mmengine.runner import CheckpointLoader
from torch import nn
from torch.nn.modules.module import _IncompatibleKeys

_SHAPES = re.compile(r'size mismatch for (\S+): copying a param with shape '
                     r'(?:torch\.Size\()?(.*?)\)? from checkpoint, .* is '
                     r'(?:torch\.Size\()?(.*?)\)?\.$')
_SHOWN = 40


class Mismatch(NamedTuple):
    """What keeps a state dict from fitting a module.

    Attributes:
        missing (list[str]): Keys of the module that the file lacks.
        shapes (list[str]): Keys of both with both shapes, as text.
        surplus (list[str]): Keys of the file that the module lacks.
    """
    missing: List[str]
    shapes: List[str]
    surplus: List[str]


def state_dict_of(checkpoint: Mapping,
                  prefix: Optional[str] = None,
                  source: str = 'the checkpoint') -> Dict[str, torch.Tensor]:
    """Take the weights out of a loaded checkpoint.

    Args:
        checkpoint (Mapping): A checkpoint, or a bare state dict.
        prefix (str, optional): Keep only the keys below it, without it; a
            dot at its end may be left out. Defaults to None.
        source (str): Name of the file for the error. Defaults to 'the
            checkpoint'.

    Returns:
        OrderedDict[str, torch.Tensor]: The weights, without the ``module.``
        of a distributed wrapper, and with torch's ``_metadata``.

    Raises:
        TypeError: If it is no mapping.
    """
    weights = checkpoint
    if isinstance(checkpoint, Mapping):
        weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping):
        raise TypeError(
            f'{source} holds a {type(weights).__name__} and no state_dict: '
            'give a checkpoint of a training run or a state_dict.')
    start = '' if not prefix else prefix.rstrip('.') + '.'
    named = ((re.sub(r'^module\.', '', key), value)
             for key, value in weights.items())
    taken = OrderedDict((key[len(start):], value) for key, value in named
                        if key.startswith(start))
    metadata = getattr(weights, '_metadata', None)
    if metadata is not None and not start:
        taken._metadata = metadata
    return taken


def load_and_compare(module: nn.Module,
                     weights: Mapping[str, torch.Tensor]) -> Mismatch:
    """Load what fits, and list what does not.

    Loading rather than comparing names lets modules that convert older keys
    or resize a tensor while loading do so.

    Args:
        module (nn.Module): The module, filled in place.
        weights (Mapping[str, torch.Tensor]): Its state dict.

    Returns:
        Mismatch: Empty lists if everything fits. ``num_batches_tracked``,
        which files of other projects lack, may be missing.
    """
    metadata = getattr(weights, '_metadata', None) or {}
    weights = OrderedDict(weights)
    missing: List[str] = []
    surplus: List[str] = []
    errors: List[str] = []

    def load(part: nn.Module, prefix: str) -> None:
        part._load_from_state_dict(weights, prefix,
                                   metadata.get(prefix[:-1], {}), True,
                                   missing, surplus, errors)
        for name, child in part._modules.items():
            if child is not None:
                load(child, f'{prefix}{name}.')
        # Such hooks strike out keys that their module may do without.
        for hook in part._load_state_dict_post_hooks.values():
            hook(part, _IncompatibleKeys(missing, surplus))

    load(module, '')
    missing = [key for key in missing if 'num_batches_tracked' not in key]
    return Mismatch(missing, [_shapes(error) for error in errors], surplus)


def _shapes(error: str) -> str:
    found = _SHAPES.search(error)
    if found is None:
        return error
    key, file_shape, module_shape = found.groups()
    return f'{key} (file {file_shape}, model {module_shape})'


def require_fit(mismatch: Mismatch,
                module: str,
                source: str,
                hint: str,
                strict: bool = True,
                surplus_matters: bool = True) -> None:
    """Raise, or log if told so, where a checkpoint does not fit.

    Args:
        mismatch (Mismatch): What does not fit.
        module (str): Name of the module for the message.
        source (str): Name of the file for the message.
        hint (str): What the user should do.
        strict (bool): Whether to raise; otherwise the same text is logged.
            Defaults to True.
        surplus_matters (bool): Whether keys that only the file has count.
            Defaults to True.

    Raises:
        RuntimeError: With every list of keys and the hint.
    """
    parts = [(mismatch.missing, 'not in the file'),
             (mismatch.shapes, 'of another shape')]
    if surplus_matters:
        parts.append((mismatch.surplus, 'in the file only'))
    told = [f'{len(keys)} {what}: {_listed(keys)}' for keys, what in parts
            if keys]
    if not told:
        return
    message = (f'The checkpoint {source} does not fit {module}.\n  ' +
               '\n  '.join(told))
    if strict:
        raise RuntimeError(f'{message}\n{hint}')
    print_log(f'{message}\nIgnored, since strict_load=False.',
              logger='current',
              level=logging.WARNING)


def _listed(keys: List[str]) -> str:
    rest = len(keys) - _SHOWN
    return ', '.join(keys[:_SHOWN]) + (f' and {rest} more' if rest > 0 else '')


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    prefix: Optional[str] = None,
                    strict: bool = True,
                    name: str = '',
                    where: str = 'prefix in init_cfg',
                    may_relax: bool = True) -> None:
    """Fill a module from a file as ``init_cfg`` of type ``Pretrained`` does.

    Args:
        module (nn.Module): The module.
        checkpoint (str): Path or address of the file.
        prefix (str, optional): Where the module's weights lie in the file.
            Defaults to None.
        strict (bool): Whether a key that stays unfilled is an error.
            Defaults to True.
        name (str): Name of the module for the message. Defaults to its class.
        where (str): What the user sets a prefix by. Defaults to 'prefix in
            init_cfg'.
        may_relax (bool): Whether ``strict_load=False`` would help.
            Defaults to True.

    Raises:
        RuntimeError: If a parameter or buffer stays unfilled; keys that only
            the file has, such as a classifier, are fine.
    """
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    weights = state_dict_of(content, prefix, checkpoint)
    mismatch = load_and_compare(module, weights)
    if mismatch.missing or mismatch.shapes:
        hint = _prefix_hint(module, state_dict_of(content), prefix, where)
        if may_relax:
            hint += (' Or set strict_load=False to go on without these keys.')
        require_fit(
            mismatch,
            name or type(module).__name__,
            checkpoint,
            hint,
            strict,
            surplus_matters=False)


def _prefix_hint(module: nn.Module, weights: Mapping[str, torch.Tensor],
                 prefix: Optional[str], where: str) -> str:
    """Say which prefix would fit best, and which the file has."""
    wanted = [key for key in module.state_dict()
              if 'num_batches_tracked' not in key]
    fits = {}
    for start in _prefixes(weights):
        fits[start] = sum(start + key in weights for key in wanted)
    best = max(fits, key=lambda start: (fits[start], -len(start)))
    tops = sorted({key.split('.')[0] for key in weights})
    told = f'The keys of the file start with {_listed(tops)}. '
    if fits[best] and best.rstrip('.') != (prefix or '').rstrip('.'):
        return told + (
            f'{fits[best]} of {len(wanted)} keys would be found with prefix='
            f'{best!r}: set it by {where} (it is {prefix!r} now).')
    return told + (
        f'Give a checkpoint of the same architecture, or the prefix under '
        f'which it is stored by {where} (it is {prefix!r} now).')


def _prefixes(weights: Mapping[str, torch.Tensor]) -> List[str]:
    starts = {''}
    for key in weights:
        parts = key.split('.')[:-1]
        # Encoders lie at most a few levels deep, e.g. tasks.name.encoder.
        starts |= {'.'.join(parts[:depth]) + '.'
                   for depth in range(1, min(len(parts), 4) + 1)}
    return sorted(starts)


def pretrained_modules(
        model: nn.Module) -> List[Tuple[str, nn.Module, dict]]:
    """List the modules that start from a checkpoint.

    Args:
        model (nn.Module): The whole model.

    Returns:
        list[tuple]: (name, module, its ``init_cfg`` of type Pretrained).
    """
    found = []
    for name, module in model.named_modules():
        cfgs = getattr(module, 'init_cfg', None) or []
        for cfg in [cfgs] if isinstance(cfgs, dict) else cfgs:
            if cfg.get('type') in ('Pretrained', PretrainedInit):
                found.append((name or type(module).__name__, module, cfg))
    return found


def check_pretrained(model: nn.Module,
                     checkpoint: Optional[str] = None,
                     strict: bool = True) -> None:
    """Require every ``Pretrained`` module to be filled by its file.

    Called before the weights are initialised, which then loads them again in
    mmengine's own way.

    Args:
        model (nn.Module): The whole model.
        checkpoint (str, optional): The config's ``checkpoint``: the file for
            each module whose ``init_cfg`` leaves it None. Defaults to None.
        strict (bool): Whether a mismatch is an error. Defaults to True.

    Raises:
        ValueError: If a module's file is named nowhere.
        RuntimeError: If a file does not fill its module.
    """
    for name, module, cfg in pretrained_modules(model):
        if cfg.get('checkpoint') is None:
            cfg['checkpoint'] = checkpoint
        if not cfg['checkpoint']:
            raise ValueError(
                f'{name} is to start from a pretrained checkpoint and none '
                "is named: set checkpoint = 'path/to/file.pth' in the config "
                'or add --cfg-options checkpoint=path/to/file.pth.')
        load_pretrained(module, cfg['checkpoint'], cfg.get('prefix'), strict,
                        name)
