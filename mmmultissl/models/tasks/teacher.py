# Copyright (c) mmmultissl contributors. All rights reserved.
"""A frozen model that another one learns from."""
import copy
import logging
import os.path as osp
import re
from typing import Dict, Optional, Tuple

import torch
import torch.nn as nn
from mmengine.logging import print_log
from torch import Tensor

from mmmultissl.registry import MODELS
from mmmultissl.utils.arguments import check_arguments

from ..utils import RingQueue

_SHA256 = re.compile('[0-9a-fA-F]{64}')


class FrozenKeys(nn.Module):
    """The keys of a queue that nothing is written to any more.

    Not a queue itself: those who wait for queues to fill, or measure how old
    keys are, do not mean this one.

    Args:
        keys (Tensor): Keys as columns, ``(C, K)``.
    """

    def __init__(self, keys: Tensor) -> None:
        super().__init__()
        self.register_buffer('keys', keys)


class Teacher(nn.Module):
    """A frozen encoder, filled from a checkpoint that may be pinned by hash.

    It is always in evaluation mode and has no gradient. Its weights are part
    of the state dict, so a resumed run does not need the file; the checksum
    of the file is too, so that the run is not resumed with another teacher.
    It is a plain module on purpose: mmengine does not initialise it.

    Args:
        backbone (dict): Config of the encoder, as in ``model.backbone`` of
            the run that trained it.
        checkpoint (str, optional): Path or address of that run's checkpoint.
            None is an error as soon as the file is needed.
        sha256 (str, optional): The checksum that the file must have.
            Defaults to None: any.
        prefix (str): Where the file holds the encoder. Defaults to
            'backbone.'.
        tasks (dict, optional): Name -> config of a task of that run, whose
            heads and queues are taken too. Defaults to None.
        companions (dict, optional): Name -> config of a companion of that
            run, which is taken too. Defaults to None.

    Raises:
        ValueError: If a config lacks, or the checksum is none.
    """

    def __init__(self,
                 backbone: Optional[dict] = None,
                 checkpoint: Optional[str] = None,
                 sha256: Optional[str] = None,
                 prefix: str = 'backbone.',
                 tasks: Optional[Dict[str, dict]] = None,
                 companions: Optional[Dict[str, dict]] = None) -> None:
        super().__init__()
        if backbone is None:
            raise ValueError(
                'teacher.backbone of a distillation task is not set: write '
                'the config of the encoder in the checkpoint, that of '
                'model.backbone if it is the same.')
        if sha256 and not _SHA256.fullmatch(sha256):
            raise ValueError(
                f'teacher.sha256 is "{sha256}", which is no checksum: set the '
                '64 hexadecimal digits that sha256sum prints, or None.')
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.sha256 = sha256.lower() if sha256 else None
        self.backbone = MODELS.build(copy.deepcopy(backbone))
        self.tasks = _build_all(tasks)
        _freeze_queues(self.tasks)
        self.companions = _build_all(companions)
        for module in self.modules():
            # No file but the checkpoint is looked for.
            if getattr(module, 'init_cfg', None) is not None:
                module.init_cfg = None
        self.requires_grad_(False)
        self.eval()
        self.is_filled = False

    @classmethod
    def of(cls, cfg: dict, owner: str, **parts) -> 'Teacher':
        """Make a teacher from its config.

        Args:
            cfg (dict): The arguments.
            owner (str): Name of the task, for errors.
            **parts: Arguments that its config does not have.

        Returns:
            Teacher: The teacher, not filled yet.
        """
        if not isinstance(cfg, dict):
            raise ValueError(
                f'teacher of {owner} is a {type(cfg).__name__}: write '
                'dict(backbone=CONFIG, checkpoint=FILE).')
        cfg = dict(cfg, **parts)
        check_arguments(cls, cfg, f'teacher of {owner}')
        return cls(**{key: value for key, value in cfg.items()
                      if key not in ('_scope_', '_delete_')})

    def train(self, mode: bool = True) -> 'Teacher':
        """Stay in evaluation mode, whatever the model around it does.

        Args:
            mode (bool): Ignored. Defaults to True.

        Returns:
            Teacher: Itself.
        """
        return super().train(False)

    def load(self) -> None:
        """Fill the teacher from its checkpoint.

        A file that is not there any more is an error only when the teacher is
        used without a resumed state.

        Raises:
            ValueError: If no file is named, or it has another checksum.
            RuntimeError: If it does not fill the teacher.
        """
        if self.is_filled:
            return
        if not self.checkpoint:
            raise ValueError(
                'The checkpoint of a teacher is not named: set '
                'teacher.checkpoint of the distillation task (--cfg-options '
                'model.tasks.NAME.teacher.checkpoint=FILE).')
        local = '://' not in self.checkpoint
        if local and not osp.isfile(self.checkpoint):
            print_log(
                f'There is no file {self.checkpoint} for a teacher: the run '
                'can only be resumed, with the teacher of its own '
                'checkpoint.',
                logger='current',
                level=logging.WARNING)
            return
        # The engine's hooks import models.
        from mmmultissl.engine.backbone_weights import load_pinned, sha256_of
        load_pinned(self.backbone, self.checkpoint, self.prefix, self.sha256,
                    'the teacher', 'teacher.prefix')
        for kind in ('tasks', 'companions'):
            for name, module in getattr(self, kind).items():
                load_pinned(module, self.checkpoint, f'{kind}.{name}.', None,
                            f'{kind}.{name} of the teacher',
                            'the name in the config')
        if local:
            self.sha256 = self.sha256 or sha256_of(self.checkpoint)
        self.is_filled = True
        print_log(
            f'A teacher from {self.checkpoint}' +
            (f' (sha256 {self.sha256[:16]}).' if self.sha256 else '.'),
            logger='current')

    @torch.no_grad()
    def forward(self, view: Tensor) -> Tuple[Tensor, ...]:
        """Encode a view.

        Args:
            view (Tensor): Images ``(N, 3, H, W)``, or spectrograms
                ``(N, M, F, T)``.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``,
            without gradient.

        Raises:
            RuntimeError: If it has not been filled.
        """
        self.require_filled()
        return self.backbone(view)

    def require_filled(self) -> None:
        """Make sure that the teacher has its weights.

        Raises:
            RuntimeError: If it has none.
        """
        if not self.is_filled:
            raise RuntimeError(
                'A teacher has no weights: its checkpoint '
                f'{self.checkpoint or "(none)"} is not there and no run was '
                'resumed (or init_weights was not called): set '
                'teacher.checkpoint to an existing file.')

    def get_extra_state(self) -> Tensor:
        """Get whether it is filled, and the checksum of its file, as bytes."""
        digest = bytes.fromhex(self.sha256 or '00' * 32)
        return torch.tensor(
            list(bytes([self.is_filled]) + digest), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over from a state dict of the same teacher.

        Args:
            state (Tensor): What :meth:`get_extra_state` gave.

        Raises:
            ValueError: If it was another file.
        """
        filled, *digest = state.tolist()
        digest = bytes(digest).hex() if any(digest) else None
        if self.sha256 and digest and digest != self.sha256:
            raise ValueError(
                'The run was started with a teacher whose file had the sha256 '
                f'{digest}, and that of {self.checkpoint} is {self.sha256}: '
                'resume with the same teacher, or start a new run.')
        self.sha256 = self.sha256 or digest
        self.is_filled = bool(filled)

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'checkpoint={self.checkpoint}, sha256={self.sha256}'


def _build_all(cfgs: Optional[Dict[str, dict]]) -> nn.ModuleDict:
    return nn.ModuleDict({
        name: MODELS.build(copy.deepcopy(cfg))
        for name, cfg in (cfgs or {}).items()
        if cfg is not None and name not in ('_scope_', '_delete_')
    })


def _freeze_queues(parts: nn.Module) -> None:
    for module in list(parts.modules()):
        for name, child in module.named_children():
            if isinstance(child, RingQueue):
                setattr(module, name, FrozenKeys(child.keys))
