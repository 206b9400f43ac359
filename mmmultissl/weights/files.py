# Copyright (c) mmmultissl contributors. All rights reserved.
"""Files of weights: PyTorch's and safetensors, read safely, written whole."""
import json
import os
import os.path as osp
from types import ModuleType
from typing import Any, Dict, Mapping, Tuple

from torch import Tensor

from mmmultissl.engine.atomic_save import write_bytes_atomically
from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.engine.checkpoint import (BrokenCheckpointError, load_safely,
                                          save_checkpoint, state_dict_of)

_SAFETENSORS = '.safetensors'


def is_safetensors(path: str) -> bool:
    """Tell by its name whether a file is one of safetensors."""
    return path.endswith(_SAFETENSORS)


def require_safetensors() -> ModuleType:
    """Import ``safetensors.torch``.

    Returns:
        ModuleType: The module.

    Raises:
        ImportError: If the package is not installed.
    """
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            'Files named *.safetensors need the package safetensors: '
            'pip install safetensors.') from error
    return safetensors.torch


def check_paths(source: str, target: str) -> None:
    """Refuse what cannot be read, and to write over what is read.

    Args:
        source (str): The file that is read.
        target (str): The file to be written.

    Raises:
        FileNotFoundError: If there is no file to read.
        ValueError: If they are one file.
        IsADirectoryError: If the second is a folder.
    """
    if not osp.isfile(source):
        raise FileNotFoundError(
            f'There is no checkpoint file {source}: give the path of a local '
            'file.')
    if osp.isdir(target):
        raise IsADirectoryError(
            f'{target} is a folder: name the file to write.')
    if osp.exists(target) and osp.samefile(source, target):
        raise ValueError(f'{target} is the file to be read: choose another '
                         'name for the result.')


def _read_safetensors(path: str) -> Dict[str, Tensor]:
    read = require_safetensors()
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no file {path}: check the path.')
    try:
        return read.load_file(path)
    except Exception as error:  # SafetensorError, of the package's own
        raise BrokenCheckpointError(
            f'{path} cannot be read ({error}): it is cut off, damaged or no '
            'safetensors file; copy or download it again.') from error


def read_weights(path: str) -> Tuple[Dict[str, Tensor], dict]:
    """Read the weights of a file of any project.

    Args:
        path (str): The file; ``*.safetensors``, or PyTorch's, whose weights
            are under ``state_dict`` or ``model``, or are all of it.

    Returns:
        tuple[dict[str, Tensor], dict]: The weights, without the ``module.``
        of a distributed wrapper; and where they are from: ``file``,
        ``sha256``, ``bytes``, with the file's ``epoch`` and ``arch`` if it
        says them.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If the file holds more than plain data.
        BrokenCheckpointError: If the file cannot be read.
        ValueError: If it holds no weights.
    """
    if is_safetensors(path):
        content: Any = _read_safetensors(path)
    else:
        content = load_safely(path)
    if isinstance(content, Mapping) and 'state_dict' not in content \
            and isinstance(content.get('model'), Mapping):
        content = dict(content, state_dict=content['model'])
    weights = {
        key: value
        for key, value in state_dict_of(content, source=path).items()
        if isinstance(value, Tensor)
    }
    if not weights:
        raise ValueError(f'{path} holds no weights: give a checkpoint with a '
                         'state_dict, or a state_dict.')
    origin = dict(file=osp.basename(path), sha256=sha256_of(path),
                  bytes=osp.getsize(path))
    meta = content.get('meta') if isinstance(content.get('meta'),
                                             Mapping) else {}
    for key in ('epoch', 'iter', 'arch'):
        value = content.get(key, meta.get(key))
        if isinstance(value, (int, str)):
            origin[key] = value
    return weights, origin


def write_weights(weights: Mapping[str, Tensor], meta: dict,
                  path: str) -> None:
    """Write weights with their history, all or nothing.

    Args:
        weights (Mapping[str, Tensor]): Key -> value.
        meta (dict): Plain values. In a PyTorch file it stands under
            ``meta``, beside ``state_dict``; in a safetensors file as json
            under ``mmmultissl`` in the header.
        path (str): The file; ``*.safetensors`` decides its kind.

    Raises:
        ImportError: If it is to be a safetensors file and the package is
            missing.
        OSError: If the disk does not take it.
    """
    # The weights of a channels-last network lie otherwise in memory.
    weights = {key: value.detach().cpu().contiguous()
               for key, value in weights.items()}
    if not is_safetensors(path):
        save_checkpoint(dict(state_dict=weights, meta=meta), path)
        return
    os.makedirs(osp.dirname(path) or '.', exist_ok=True)
    # The header is of strings; `format` is what readers of such files expect.
    header = dict(format='pt', mmmultissl=json.dumps(meta))
    write_bytes_atomically(require_safetensors().save(weights, header), path)
