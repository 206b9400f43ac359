# Copyright (c) mmmultissl contributors. All rights reserved.
"""Config overrides that put finished checkpoints into columns."""
import copy
from typing import Dict, Mapping, Optional, Union

Checkpoint = Union[str, Mapping[str, str]]


def concat_overrides(checkpoints: Mapping[str, Checkpoint],
                     backbone_cfg: dict,
                     frozen: bool = True,
                     model_cfg: Optional[dict] = None) -> dict:
    """Make a config read several single-task checkpoints side by side.

    Args:
        checkpoints (Mapping[str, str | Mapping]): Name of a column -> path of
            its checkpoint, or ``dict(checkpoint=..., sha256=...)``.
        backbone_cfg (dict): Config of the backbone that each was trained
            with, with the ``out_indices`` and norms of the downstream task.
        frozen (bool): Whether they stay as they are. Defaults to True.
        model_cfg (dict, optional): The downstream config's ``model``, whose
            neck or head shall read what is then wider. Defaults to None:
            that is left to the caller.

    Returns:
        dict: To be merged into a downstream config.

    Raises:
        ValueError: If there is no checkpoint.
    """
    _require_checkpoints(checkpoints)
    backbone = dict(
        _delete_=True,
        type='mmmultissl.ConcatBackbone',
        backbone=_plain(backbone_cfg),
        columns={name: _source(value)
                 for name, value in checkpoints.items()},
        frozen=frozen)
    return dict(
        model=dict(backbone=backbone, **_readers(model_cfg, len(checkpoints))))


def progressive_overrides(stage_checkpoints: Mapping[str, Checkpoint],
                          backbone_cfg: dict,
                          name: str,
                          adapter: Optional[dict] = None,
                          output: str = 'last') -> dict:
    """Make the config of a stage whose encoder reads those before it.

    The first stage is an ordinary one. The second gets the first one's
    encoder as a frozen column, the third those of the first and the second,
    the second one's adapters with it, and so on.

    Args:
        stage_checkpoints (Mapping[str, str | Mapping]): Name of each finished
            stage, in their order -> path of its checkpoint, or
            ``dict(checkpoint=..., sha256=...)``. Empty for the first stage.
        backbone_cfg (dict): Config of the plain backbone.
        name (str): Name of this stage, and of its column.
        adapter (dict, optional): Arguments of the adapters.
            Defaults to None: their own.
        output (str): ``'last'`` or ``'all'``. Defaults to ``'last'``.

    Returns:
        dict: To be merged into the stage's config; empty for the first stage.
        It also empties ``model.recompute``, which names parts of the plain
        backbone: those of the last column are ``columns.NAME.layer1``.

    Raises:
        ValueError: If a finished stage has the name of this one.
    """
    if name in stage_checkpoints:
        raise ValueError(
            f'The stage "{name}" would be a column beside itself: give each '
            'stage of a progressive network a name of its own.')
    if not stage_checkpoints:
        return {}
    columns = {
        earlier: dict(_source(value), laterals=number > 0)
        for number, (earlier, value) in enumerate(stage_checkpoints.items())
    }
    backbone = dict(
        _delete_=True,
        type='mmmultissl.ProgressiveBackbone',
        backbone=_plain(backbone_cfg),
        columns=dict(columns, **{name: {}}),
        output=output)
    if adapter is not None:
        backbone['adapter'] = copy.deepcopy(dict(adapter))
    return dict(model=dict(backbone=backbone, recompute=[]))


def transfer_overrides(trained: dict,
                       backbone_cfg: dict,
                       checkpoint: Optional[str] = None,
                       model_cfg: Optional[dict] = None) -> dict:
    """Make a downstream config read a run that had several columns.

    The whole comes from the run's one checkpoint; the columns' own files are
    not needed.

    Args:
        trained (dict): The run's ``model.backbone``, of type
            ``ConcatBackbone`` or ``ProgressiveBackbone``.
        backbone_cfg (dict): Config of one column as the downstream task needs
            it, such as ``dict(type='mmdet.ResNet', depth=18,
            out_indices=(0, 1, 2, 3))``.
        checkpoint (str, optional): The run's checkpoint. Defaults to None:
            what the downstream config's ``checkpoint`` names.
        model_cfg (dict, optional): As in :func:`concat_overrides`. A
            progressive network is as wide as one column, unless its output is
            all of them. Defaults to None.

    Returns:
        dict: To be merged into a downstream config.

    Raises:
        ValueError: If the run had a plain backbone.
    """
    if 'columns' not in trained:
        raise ValueError(
            f'The run had the backbone {trained.get("type")}, which has no '
            'columns: give its checkpoint to the downstream config as it is.')
    backbone = {key: copy.deepcopy(value) for key, value in trained.items()
                if key != '_scope_'}
    backbone.update(
        _delete_=True,
        backbone=_plain(backbone_cfg),
        columns={
            name: {key: value for key, value in column.items()
                   if key == 'laterals'}
            for name, column in trained['columns'].items()
            if column is not None and name != '_scope_'
        },
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.'))
    wide = (trained.get('output') == 'all'
            or str(trained['type']).endswith('ConcatBackbone'))
    count = len(backbone['columns']) if wide else 1
    return dict(model=dict(backbone=backbone, **_readers(model_cfg, count)))


def _readers(model_cfg: Optional[dict], count: int) -> dict:
    """Widen what reads a backbone that is ``count`` times as wide."""
    if model_cfg is None or count == 1:
        return {}
    neck = model_cfg.get('neck')
    first = neck[0] if isinstance(neck, (list, tuple)) else neck
    if first and 'in_channels' in first:
        kind = model_cfg['type']
        if kind.endswith('NeckFollowsBackbone'):
            return {}
        return dict(
            type='mmmultissl.NeckFollowsBackbone',
            detector=kind if '.' in kind else f'mmdet.{kind}')
    head = model_cfg.get('head') or {}
    widths = {key: count * head[key]
              for key in ('in_channels', 'audio_channels') if key in head}
    return dict(head=widths) if widths else {}


def _require_checkpoints(checkpoints: Mapping[str, Checkpoint]) -> None:
    if not checkpoints:
        raise ValueError('There is no checkpoint to concatenate: give name -> '
                         'path for each column.')


def _source(value: Checkpoint) -> Dict[str, str]:
    if isinstance(value, Mapping):
        return {key: str(each) for key, each in value.items()
                if each is not None}
    return dict(checkpoint=str(value))


def _plain(backbone_cfg: dict) -> dict:
    """The config without the checkpoint that it may name."""
    cfg = copy.deepcopy(dict(backbone_cfg))
    init = cfg.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        del cfg['init_cfg']
    return cfg
