# Copyright (c) mmmultissl contributors. All rights reserved.
"""Turn what a run wants to store into plain types and tensors, and back.

A checkpoint of ours is read by ``torch.load(weights_only=True)`` without any
allow-list, here and anywhere else.
"""
import os
from collections import OrderedDict, deque
from numbers import Integral, Real
from typing import Any, Mapping

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_AS_IT_IS = (type(None), bool, int, float, complex, str, bytes, torch.dtype,
             torch.device)


def to_plain(value: Any, where: str = 'checkpoint') -> Any:
    """Copy a nested value into Python's plain types and CPU tensors.

    Arrays of numpy become tensors, numbers of numpy become Python's, mappings
    become ``dict`` (an ``OrderedDict`` stays one, with torch's version
    numbers in ``_metadata``), paths become strings.

    Args:
        value (Any): The value.
        where (str): Name of the value for the error. Defaults to
            'checkpoint'.

    Returns:
        Any: The plain copy; tensors are detached and on the CPU, and share
        memory with the original where they were there already.

    Raises:
        TypeError: If something in it has no plain form.
    """
    if type(value) in _AS_IT_IS:
        return value
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().as_subclass(torch.Tensor)
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biufc':
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist(), where)
    if isinstance(value, np.generic):
        return to_plain(value.item(), where)
    if isinstance(value, HistoryBuffer):
        return _plain_history(value)
    if isinstance(value, Mapping):
        return _plain_mapping(value, where)
    if isinstance(value, tuple):
        return tuple(_plain_items(value, where))
    if isinstance(value, (list, deque, range)):
        return list(_plain_items(value, where))
    if isinstance(value, (set, frozenset)):
        return set(_plain_items(value, where))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    for kind, plain in ((str, str), (Integral, int), (Real, float)):
        if isinstance(value, kind):  # subclasses, e.g. of an enumeration
            return plain(value)
    raise TypeError(
        f'The checkpoint cannot store {where}, which is a '
        f'{type(value).__module__}.{type(value).__qualname__}: store plain '
        'types and tensors, or keep it out of the checkpoint (for the '
        'message hub: update_info(..., resumed=False)).')


def _plain_items(values, where: str):
    for index, item in enumerate(values):
        yield to_plain(item, f'{where}[{index}]')


def _plain_mapping(value: Mapping, where: str) -> dict:
    kind = OrderedDict if isinstance(value, OrderedDict) else dict
    plain = kind((to_plain(key, where), to_plain(item, f'{where}.{key}'))
                 for key, item in value.items())
    # torch reads the versions of a state_dict's modules from here.
    if isinstance(getattr(value, '_metadata', None), Mapping):
        plain._metadata = to_plain(value._metadata, f'{where}._metadata')
    return plain


def _plain_history(history: HistoryBuffer) -> dict:
    values, counts = history.data
    return dict(
        log_history=torch.from_numpy(np.array(values, dtype=np.float64)),
        count_history=torch.from_numpy(np.array(counts, dtype=np.int64)),
        max_length=int(history.max_length))


def restore_histories(message_hub: dict) -> dict:
    """Make mmengine's log histories of their plain form again.

    Args:
        message_hub (dict): The ``message_hub`` of a checkpoint, ours or one
            of mmengine's own Runner.

    Returns:
        dict: The same with a ``HistoryBuffer`` for each log scalar, as
        ``MessageHub.load_state_dict`` takes it.
    """
    scalars = {
        name: HistoryBuffer(item['log_history'].cpu().numpy(),
                            item['count_history'].cpu().numpy(),
                            item['max_length'])
        if isinstance(item, dict) else item
        for name, item in message_hub['log_scalars'].items()
    }
    return {**message_hub, 'log_scalars': scalars}
