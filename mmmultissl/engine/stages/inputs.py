# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the weights of a stage depend on, and whether it has changed."""
import hashlib
import json
import os.path as osp
from typing import Any, Dict, Sequence

from mmengine.config import Config
from mmengine.dist import get_world_size

from ..backbone_weights import sha256_of

# What the weights depend on. Folders, logging, evaluation and the number of
# worker processes are not among it: they may change between two starts.
_INPUTS = ('model', 'data_preprocessor', 'train_dataloader', 'train_cfg',
           'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'load_from',
           'start_from', 'checkpoint', 'strict_load', 'custom_hooks',
           'randomness', 'env_cfg', 'sync_bn', 'model_wrapper_cfg',
           'find_unused_parameters', 'compile', 'runner_type',
           'default_hooks', 'custom_imports')
_IGNORED = ('num_workers', 'persistent_workers', 'pin_memory',
            'prefetch_factor')
# Hooks that leave no trace in a run, as their tests show.
_ONLY_LOOK = ('MonitorHook', 'VOC07Hook')
_ONLY_WRITE = ('logger', 'timer', 'checkpoint', 'visualization')
# Files that a config begins from, and what their checksums are called.
_FILES = ('checkpoint', 'load_from')
_CONTENT = ' (SHA-256)'
# Runs of earlier versions did not keep these.
_LATER = ('default_hooks.', 'custom_imports')
_PROCESSES = 'number of processes'
_SHOWN = 3


def inputs_of(cfg: Config,
              work_dir: str,
              options: Sequence[str] = (),
              read_files: bool = True) -> Dict[str, Any]:
    """List what the weights of a stage depend on, flat.

    Args:
        cfg (Config): The stage's config.
        work_dir (str): The folder of the whole run; paths below it are
            written relative to it, so that it may be moved.
        options (Sequence[str]): Flags of the training tool that change the
            result, such as ``--amp``. Defaults to none.
        read_files (bool): Whether checkpoints that the config names without
            their checksum are read to tell their content.
            Defaults to True.

    Returns:
        dict: ``model.backbone.depth`` and so on -> plain value.
    """
    # The batch of a step is that of a process times their number.
    found: Dict[str, Any] = {
        'options': list(options),
        _PROCESSES: get_world_size()
    }
    content = cfg.to_dict()
    content['custom_hooks'] = [
        hook for hook in content.get('custom_hooks') or ()
        if str(hook.get('type')).split('.')[-1] not in _ONLY_LOOK
    ]
    content['default_hooks'] = {
        name: hook
        for name, hook in (content.get('default_hooks') or {}).items()
        if name not in _ONLY_WRITE
    }
    for key in _INPUTS:
        if key in content:
            _flatten(content[key], key, osp.join(work_dir, ''), found)
            if read_files:
                found.update(_contents(content[key], key))
    # As it will be read back: tuples are lists in JSON.
    return json.loads(json.dumps(found))


def digest_of(inputs: Dict[str, Any]) -> str:
    """Compute the checksum of a stage's inputs.

    Args:
        inputs (dict): From :func:`inputs_of`.

    Returns:
        str: 64 hexadecimal digits.
    """
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def require_same_inputs(old: Dict[str, Any], inputs: Dict[str, Any],
                        folder: str) -> None:
    """Refuse to go on with a stage under other settings.

    Args:
        old (dict): What the stage was begun with.
        inputs (dict): What it would go on with.
        folder (str): The stage's folder, for the message.

    Raises:
        ValueError: With what has changed.
    """
    nothing = '(not set)'
    # Runs of earlier versions did not keep all of them.
    old = {_PROCESSES: inputs[_PROCESSES], **old}
    if not any(key.startswith(_LATER) for key in old):
        inputs = {
            key: value
            for key, value in inputs.items() if not key.startswith(_LATER)
        }
    changes = [
        f'{key} was {_short(old.get(key, nothing))} and is '
        f'{_short(inputs.get(key, nothing))}'
        for key in sorted(old.keys() | inputs.keys())
        if old.get(key, nothing) != inputs.get(key, nothing)
        # A file that is gone is not needed any more, or asked for later.
        and not (key.endswith(_CONTENT) and (key not in old or
                                             key not in inputs))
    ]
    if changes:
        more = len(changes) - _SHOWN
        raise ValueError(
            f'{folder} was trained with other settings: '
            f'{"; ".join(changes[:_SHOWN])}'
            f'{f"; and {more} more" if more > 0 else ""}. Undo the change, '
            'give another --work-dir, or remove this folder and those of the '
            'stages after it to train them anew.')


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}…'


def _contents(value: Any, key: str, pinned: bool = False) -> Dict[str, str]:
    """Compute the checksums of files that are named without one."""
    found: Dict[str, str] = {}
    if isinstance(value, dict):
        for name, inner in value.items():
            found.update(
                _contents(inner, f'{key}.{name}',
                          value.get('sha256') is not None))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            found.update(_contents(inner, f'{key}.{index}'))
    elif (isinstance(value, str) and not pinned
          and key.split('.')[-1] in _FILES and osp.isfile(value)):
        found[f'{key}{_CONTENT}'] = sha256_of(value)
    return found


def _flatten(value: Any, key: str, folder: str, into: Dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            if name not in _IGNORED:
                _flatten(inner, f'{key}.{name}', folder, into)
    elif isinstance(value, (list, tuple)) and any(
            isinstance(inner, (dict, list, tuple)) for inner in value):
        for index, inner in enumerate(value):
            _flatten(inner, f'{key}.{index}', folder, into)
    elif isinstance(value, str) and value.startswith(folder):
        into[key] = value[len(folder):]
    else:
        plain = (str, int, float, bool, list, tuple, dict, type(None))
        into[key] = value if isinstance(value, plain) else str(value)
