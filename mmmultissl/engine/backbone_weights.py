# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights of a backbone to evaluate: from a checkpoint, or drawn."""
import hashlib
import os.path as osp
from typing import Optional

import torch
from mmengine.model import BaseModule

from .checkpoint import load_pretrained

RANDOM = 'random'


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


def fill_backbone(backbone: BaseModule,
                  checkpoint: Optional[str],
                  prefix: str = 'backbone.',
                  seed: int = 0) -> str:
    """Fill every key of a backbone, or draw it as a control.

    Args:
        backbone (BaseModule): Filled in place.
        checkpoint (str, optional): Path or address, or the word ``random``.
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
        backbone.init_weights()
        return f'none, randomly initialised with seed {seed}'
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
