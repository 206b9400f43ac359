# Copyright (c) mmmultissl contributors. All rights reserved.
"""What backbones made of several pretrained ones have in common."""
import logging
import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple, Union

import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import BaseModule, ModuleDict, PretrainedInit

from mmmultissl.registry import MODELS
from mmmultissl.utils.arguments import check_arguments

RANDOM = 'random'


@dataclass(frozen=True)
class Column:
    """One backbone among several, and where its weights are from.

    Args:
        backbone (dict, optional): Its config. Defaults to None: the one that
            all columns share.
        checkpoint (str, optional): Path or address of its weights, or the
            word ``random``, as a control. Defaults to None: they come with
            the checkpoint of the whole.
        sha256 (str, optional): The checksum that the file must have.
            Defaults to None: any.
        prefix (str): Where the file holds the backbone.
            Defaults to ``'backbone.'``.
        laterals (bool): In a progressive network, whether this column reads
            those before it, and the file is that of such a network.
            Defaults to False: a backbone that was trained alone.
    """

    backbone: Optional[dict] = None
    checkpoint: Optional[str] = None
    sha256: Optional[str] = None
    prefix: str = 'backbone.'
    laterals: bool = False


class ColumnBackbone(BaseModule):
    """Several backbones, each filled from a file of its own.

    The files are read when the weights are initialised, strictly: a key that
    stays unfilled is an error. A file that is not there then is one only
    when the column is used, unless a checkpoint of the whole has filled it in
    between: a run can be resumed, and a saved network be tested, without the
    columns' files. With an ``init_cfg`` of type ``Pretrained`` they are not
    read at all.

    Args:
        columns (dict): Name -> config of a :class:`Column`, in their order.
            One set to None is left out, so that a child config can drop one.
        backbone (dict, optional): Config of the columns that name none of
            their own. Defaults to None.
        frozen (bool): Whether the columns of :attr:`frozen_names` neither
            learn nor update the statistics of their norms. Defaults to True.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no column, or a config cannot be used.
    """

    def __init__(self,
                 columns: Dict[str, Optional[dict]],
                 backbone: Optional[dict] = None,
                 frozen: bool = True,
                 init_cfg: Union[dict, list, None] = None) -> None:
        super().__init__(init_cfg)
        self.frozen = frozen
        self.sources = _read_columns(type(self).__name__, columns)
        self.columns = ModuleDict({
            name: MODELS.build(_config_of(name, column, backbone))
            for name, column in self.sources.items()
        })
        # Column -> error and message where it is used as it is.
        self._unfilled: Dict[str, Tuple[type, str]] = {}
        self._freeze()

    @property
    def frozen_names(self) -> List[str]:
        """list[str]: The columns that ``frozen`` is about."""
        return list(self.sources)

    def frozen_modules(self) -> List[nn.Module]:
        """List what never changes, which an EMA copy may share.

        Returns:
            list[nn.Module]: The frozen columns.
        """
        if not self.frozen:
            return []
        return [self.columns[name] for name in self.frozen_names]

    def _freeze(self) -> None:
        for module in self.frozen_modules():
            module.requires_grad_(False)
            module.eval()

    def train(self, mode: bool = True) -> 'ColumnBackbone':
        """Set the mode of all that is not frozen.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            ColumnBackbone: Itself.
        """
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self

    # Weights

    def init_weights(self) -> None:
        """Draw what is drawn, then fill each column from its file."""
        first = not self.is_init
        self.init_random()
        if first and not self._filled_as_a_whole():
            for name, column in self.sources.items():
                self._fill(name, column)

    def init_random(self) -> None:
        """Draw all columns, as a control."""
        super().init_weights()

    def require_filled(self) -> None:
        """Make sure that every column has its weights.

        Raises:
            FileNotFoundError: If the file of one was not there.
            ValueError: If none was named.
        """
        for error, message in self._unfilled.values():
            raise error(message)

    def weights_in_words(self) -> str:
        """Say where the weights of each column are from.

        Returns:
            str: For the lists of choices that evaluations print.
        """
        from mmmultissl.engine.backbone_weights import sha256_of
        told = []
        for name, column in self.sources.items():
            path = column.checkpoint
            words = 'drawn' if path in (None, RANDOM) else path
            if words == path and osp.isfile(path):
                words += f' (sha256 {sha256_of(path)[:16]})'
            told.append(f'{name}: {words}')
        return '; '.join(told)

    def _filled_as_a_whole(self) -> bool:
        cfgs = self.init_cfg or []
        cfgs = [cfgs] if isinstance(cfgs, dict) else cfgs
        return any(cfg.get('type') in ('Pretrained', PretrainedInit)
                   for cfg in cfgs)

    def _fill(self, name: str, column: Column) -> None:
        path = column.checkpoint
        if path == RANDOM:
            return
        where = f'columns.{name}.checkpoint'
        if not path:
            self._unfilled[name] = (
                ValueError,
                f'The column "{name}" of {type(self).__name__} has no '
                f'weights: set model.backbone.{where} to the path of a file, '
                f'or to the word {RANDOM}.')
        elif '://' not in path and not osp.isfile(path):
            self._unfilled[name] = (
                FileNotFoundError,
                f'There is no checkpoint "{path}" for the column "{name}" of '
                f'{type(self).__name__}: set model.backbone.{where} to the '
                f'path of a file, or to the word {RANDOM}.')
            print_log(
                f'There is no checkpoint "{path}" for the column "{name}": '
                'it must come with the checkpoint of the whole.',
                logger='current',
                level=logging.WARNING)
        else:
            self._load(name, column)

    def _load(self, name: str, column: Column) -> None:
        self._load_part(self.columns[name], name, column, column.prefix)

    def _load_part(self, module: nn.Module, name: str, column: Column,
                   prefix: str) -> None:
        # The engine's hooks import models.
        from mmmultissl.engine.backbone_weights import load_pinned
        load_pinned(
            module,
            column.checkpoint,
            prefix,
            column.sha256,
            name=f'the column "{name}"',
            where=f'model.backbone.columns.{name}.prefix')

    def _load_from_state_dict(self, state_dict: dict, prefix: str,
                              *args) -> None:
        for name in list(self._unfilled):
            start = f'{prefix}columns.{name}.'
            if any(key.startswith(start) for key in state_dict):
                del self._unfilled[name]
        super()._load_from_state_dict(state_dict, prefix, *args)


def _read_columns(owner: str,
                  columns: Dict[str, Optional[dict]]) -> Dict[str, Column]:
    if not isinstance(columns, dict):
        raise ValueError(
            f'columns of {owner} is a {type(columns).__name__}: write a dict '
            'of column name -> config, so that a child config can change one.')
    read = {}
    for name, cfg in columns.items():
        if cfg is None or name in ('_scope_', '_delete_'):
            continue
        if not name or '.' in name or hasattr(ModuleDict(), name):
            raise ValueError(
                f'A column of {owner} cannot be called "{name}": use a name '
                "without a dot that is no attribute of mmengine's "
                'ModuleDict, such as moco.')
        cfg = {key: value for key, value in cfg.items()
               if key not in ('_scope_', '_delete_')}
        check_arguments(Column, cfg, f'The column "{name}" of {owner}')
        read[name] = Column(**cfg)
    if not read:
        raise ValueError(f'{owner} has no column: add one, such as '
                         'columns=dict(moco=dict(checkpoint=FILE)).')
    return read


def _config_of(name: str, column: Column, shared: Optional[dict]) -> dict:
    cfg = column.backbone or shared
    if cfg is None:
        raise ValueError(
            f'The column "{name}" has no backbone: give it one, or give one '
            'for all columns as model.backbone.backbone.')
    cfg = dict(cfg)
    # The weights come from the column's checkpoint.
    init = cfg.get('init_cfg')
    if isinstance(init, dict) and init.get('type') in ('Pretrained',
                                                       PretrainedInit):
        del cfg['init_cfg']
    return cfg
