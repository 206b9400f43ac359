# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights of a backbone: from a checkpoint, pinned by hash, or drawn."""
import hashlib
import os.path as osp
from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import nn

from .checkpoint import load_pretrained

RANDOM = 'random'
COLUMNS = 'columns'


def sha256_of(path: str) -> str:
    """Compute the checksum of a file, in pieces: checkpoints are large.

    Args:
        path (str): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def load_pinned(module: nn.Module,
                checkpoint: str,
                prefix: str = 'backbone.',
                sha256: Optional[str] = None,
                name: str = 'the backbone',
                where: str = 'prefix') -> None:
    """Fill every key of a module from a file, which may be pinned by hash.

    Args:
        module (nn.Module): Filled in place.
        checkpoint (str): Path or address.
        prefix (str): Where the file holds the module. Defaults to
            ``'backbone.'``.
        sha256 (str, optional): The checksum that the file must have.
            Defaults to None: any.
        name (str): Name of the module for the error. Defaults to 'the
            backbone'.
        where (str): What the user sets the prefix by. Defaults to 'prefix'.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its checksum is another one.
        RuntimeError: If it does not fill the module.
    """
    local = '://' not in checkpoint
    if local and not osp.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no checkpoint "{checkpoint}" for {name}: give the path '
            'of a file.')
    if sha256 and not local:
        raise ValueError(
            f'The sha256 of {name} cannot be compared with {checkpoint}, '
            'which is an address: download the file and give its path.')
    if sha256:
        found = sha256_of(checkpoint)
        if found != sha256.lower():
            raise ValueError(
                f'The checkpoint {checkpoint} of {name} has the sha256 '
                f'{found}, but {sha256} is asked for: it is another file than '
                'the one that was meant; give that one, or correct sha256.')
    load_pretrained(
        module, checkpoint, prefix, name=name, where=where, may_relax=False)


def fill_backbone(backbone: BaseModule,
                  checkpoint: Optional[str],
                  prefix: str = 'backbone.',
                  seed: int = 0) -> str:
    """Fill every key of a backbone, or draw it as a control.

    Args:
        backbone (BaseModule): Filled in place.
        checkpoint (str, optional): Path or address, or the word ``random``,
            or for a backbone of several columns the word ``columns``: each of
            them from the file that its config names.
        prefix (str): Where the checkpoint holds it. Defaults to
            ``'backbone.'``.
        seed (int): Seed of a random backbone. Defaults to 0.

    Returns:
        str: In words, where the weights are from.

    Raises:
        ValueError: If no checkpoint is given.
        FileNotFoundError: If there is no such file.
        RuntimeError: If the file does not fill the backbone.
    """
    if not checkpoint:
        raise ValueError(
            'There is no checkpoint to evaluate: give its path, or the word '
            f'"{RANDOM}" for a randomly initialised backbone.')
    if checkpoint == RANDOM:
        torch.manual_seed(seed)
        # Columns would be filled from their files.
        getattr(backbone, 'init_random', backbone.init_weights)()
        return f'none, randomly initialised with seed {seed}'
    if checkpoint == COLUMNS:
        return _fill_columns(backbone, seed)
    if '://' not in checkpoint and not osp.isfile(checkpoint):
        raise FileNotFoundError(
            f'There is no checkpoint "{checkpoint}": give the path of a file, '
            f'or the word "{RANDOM}" for a randomly initialised backbone.')
    load_pretrained(
        backbone,
        checkpoint,
        prefix,
        name='the backbone',
        where='--prefix or test_cfg.prefix',
        may_relax=False)
    if '://' in checkpoint:
        return f'{checkpoint}, every key of the backbone'
    digest = sha256_of(checkpoint)
    return (f'{checkpoint} (sha256 {digest[:16]}), every key of '
            f'the backbone from "{prefix}*"')


def _fill_columns(backbone: BaseModule, seed: int) -> str:
    if not hasattr(backbone, 'weights_in_words'):
        raise ValueError(
            f'The checkpoint is "{COLUMNS}", but {type(backbone).__name__} '
            'has no columns with files of their own: give the path of a '
            'checkpoint.')
    torch.manual_seed(seed)
    backbone.init_weights()
    backbone.require_filled()
    return backbone.weights_in_words()
