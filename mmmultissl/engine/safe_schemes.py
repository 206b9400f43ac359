# Copyright (c) mmmultissl contributors. All rights reserved.
"""Make mmengine's checkpoint addresses read safely, or refuse them.

mmengine reads ``path``, ``https://…``, ``torchvision://…`` and others through
a table of loaders, all of which end in an unpickling that retries without
protection. :func:`install_safe_loading` replaces the table's entries. The
table is one per process: mmpretrain's and mmdet's own models read safely too
from then on, which is meant.
"""
import os
from typing import Any, Callable, Dict
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner import checkpoint as mm

from .safe_load import MapLocation, load_safely


def load_from_local(filename: str, map_location: MapLocation = None) -> Any:
    """Read a checkpoint of the local file system.

    Args:
        filename (str): The path; ``~`` is expanded.
        map_location (str | torch.device | callable | dict | None): As in
            ``torch.load``. Defaults to None.

    Returns:
        Any: What the file holds.
    """
    return load_safely(filename, map_location)


def load_from_http(filename: str, map_location: MapLocation = None) -> Any:
    """Download a checkpoint into torch's hub folder, then read it.

    Args:
        filename (str): The address.
        map_location (str | torch.device | callable | dict | None): As in
            ``torch.load``. Defaults to None.

    Returns:
        Any: What the file holds.
    """
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    target = os.path.join(folder, os.path.basename(urlparse(filename).path))
    if is_main_process() and not os.path.exists(target):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(
            filename, target, progress=os.isatty(0))
    barrier()
    return load_safely(target, map_location)


def load_from_torchvision(filename: str,
                          map_location: MapLocation = None) -> Any:
    """Read ``torchvision://NAME`` (or ``modelzoo://NAME``)."""
    return _load_from_zoo(filename, mm.get_torchvision_models(), map_location)


def load_from_openmmlab(filename: str,
                        map_location: MapLocation = None) -> Any:
    """Read ``open-mmlab://NAME`` (or ``openmmlab://NAME``)."""
    scheme, name = filename.split('://', 1)
    name = mm.get_deprecated_model_names().get(name, name)
    models = mm.get_external_models()
    if not models.get(name, 'http').startswith('http'):
        models[name] = os.path.join(mm._get_mmengine_home(), models[name])
    return _load_from_zoo(f'{scheme}://{name}', models, map_location)


def load_from_mmcls(filename: str, map_location: MapLocation = None) -> Any:
    """Read the backbone of ``mmcls://NAME``, its prefix taken off."""
    loaded = _load_from_zoo(filename, mm.get_mmcls_models(), map_location)
    return mm._process_mmcls_checkpoint(loaded)


def _load_from_zoo(filename: str, models: Dict[str, str],
                   map_location: MapLocation) -> Any:
    scheme, name = filename.split('://', 1)
    if name not in models:
        raise ValueError(
            f'"{filename}" is not a checkpoint that {scheme}:// knows: name '
            'one of its models, or give the path of a file.')
    where = models[name]
    load = load_from_http if where.startswith('http') else load_from_local
    return load(where, map_location)


def load_from_refused(filename: str, map_location: MapLocation = None) -> Any:
    """Refuse an address for which there is no safe way.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f'The checkpoint "{filename}" was not loaded because mmmultissl has '
        f'no safe reader for {filename.split("://")[0]}:// addresses: '
        'download the file and give its path.')


_SAFE: Dict[str, Callable] = {
    '': load_from_local,
    'http://': load_from_http,
    'https://': load_from_http,
    'torchvision://': load_from_torchvision,
    'modelzoo://': load_from_torchvision,
    'open-mmlab://': load_from_openmmlab,
    'openmmlab://': load_from_openmmlab,
    'mmcls://': load_from_mmcls,
}


def install_safe_loading() -> None:
    """Make every checkpoint that mmengine reads in this process go our way.

    It holds for ``load_from``, ``resume``, ``init_cfg`` of type
    ``Pretrained``, teachers, and for models of other OpenMMLab packages.
    Addresses that end in an unpickling of their own (``s3://``, ``pavi://``
    and whatever another package has registered) are refused with a sentence.
    Calling it again is harmless and covers schemes registered since.
    """
    for prefix in {*mm.CheckpointLoader._schemes, *_SAFE}:
        mm.CheckpointLoader.register_scheme(
            prefix, _SAFE.get(prefix, load_from_refused), force=True)
    # mmengine's own helpers that are called by name rather than by scheme.
    mm.load_from_local = load_from_local
    mm.load_from_http = load_from_http
    if hasattr(mm, '_safe_torch_load'):
        mm._safe_torch_load = _always_safely


def _always_safely(file, map_location: MapLocation = None, weights_only=None):
    return load_safely(file, map_location)
