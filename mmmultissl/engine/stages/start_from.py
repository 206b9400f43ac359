# Copyright (c) mmmultissl contributors. All rights reserved.
"""Start a model from parts of another run's checkpoint, strictly."""
import os.path as osp
from typing import Optional, Sequence

from torch import nn

from ..backbone_weights import sha256_of
from ..safe_load import load_safely
from ..strict_transfer import load_and_compare, require_fit, state_dict_of

_HINT = ('Take over fewer parts (start in the stage, or start_from.parts), or '
         'give the stage the same parts as the one before.')


def start_from(model: nn.Module,
               checkpoint: str,
               parts: Sequence[str] = ('backbone.', ),
               sha256: Optional[str] = None) -> None:
    """Fill parts of a model from a file that must be the expected one.

    EMA encoders that are started from an EMA trunk go on from it; the EMA
    copies of necks that are not taken over begin as copies of the necks.

    Args:
        model (nn.Module): The model, initialised; filled in place.
        checkpoint (str): Path of the file.
        parts (Sequence[str]): Prefixes of keys, equal in file and model, such
            as ``'backbone.'`` or ``'tasks.moco.'``. Every key of the part must
            be in both. Defaults to ``('backbone.', )``.
        sha256 (str, optional): The file's checksum. Defaults to None: not
            checked.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If the file is another one, is unsafe or does not fit.
        ValueError: If the model has no such part.
    """
    require_file(checkpoint, sha256)
    content = load_safely(checkpoint)
    averaged = [part for part in parts if part.startswith('momentum.')]
    for part in parts:
        if part not in averaged:
            _fill(model, part, content, checkpoint)
    if averaged:
        # The first update is a copy, which must not undo what is loaded.
        for encoder in model.momentum.values():
            encoder.update(
                model.backbone, {
                    name: model.tasks[name].momentum_modules()
                    for name in encoder.tasks
                })
    for part in averaged:
        _fill(model, part, content, checkpoint)


def require_file(checkpoint: str, sha256: Optional[str] = None) -> None:
    """Make sure that a checkpoint is there, and is the one that is meant.

    Args:
        checkpoint (str): Path of the file.
        sha256 (str, optional): The checksum that it must have. Defaults to
            None: not checked.

    Raises:
        FileNotFoundError: If there is no such file.
        RuntimeError: If it has another checksum.
    """
    if not osp.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no {checkpoint}, the checkpoint of an earlier stage: '
            'put it back, or train that stage again (remove its folder and '
            'those of the stages after it).')
    if sha256 is None:
        return
    found = sha256_of(checkpoint)
    if found != sha256:
        raise RuntimeError(
            f'{checkpoint} is not the file that the earlier stage wrote '
            f'(SHA-256 {found[:16]}…, expected {sha256[:16]}…): put that file '
            'back, or train that stage again (remove its folder and those of '
            'the stages after it).')


def _fill(model: nn.Module, part: str, content: dict, source: str) -> None:
    try:
        module = model.get_submodule(part.rstrip('.'))
    except AttributeError:
        raise ValueError(
            f'start_from.parts names {part}, but the model has no such part: '
            f'{_HINT}') from None
    mismatch = load_and_compare(module, state_dict_of(content, part, source))
    require_fit(mismatch, f'{part}* of the model', source, _HINT)
