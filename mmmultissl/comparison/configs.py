# Copyright (c) mmmultissl contributors. All rights reserved.
"""The configs of single jobs: whole, ordinary files that need no parent."""
import ast
import pprint
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmmultissl.models.backbones.column_overrides import (
    concat_overrides, progressive_overrides, transfer_overrides)
from mmmultissl.utils.command_line import check_left_out_tasks, check_variables

from .rows import Row

# Loops that count updates, not passes over a data set.
_LOOPS = ('PretrainLoop', 'IterBasedTrainLoop')


def merge(cfg: Config, options: Dict[str, Any]) -> Config:
    """Override settings of a config.

    Args:
        cfg (Config): The config, left as it is.
        options (dict[str, Any]): Dotted keys; a dict with ``_delete_=True``
            replaces what is there.

    Returns:
        Config: A new config.
    """
    made = Config(cfg.to_dict(), filename=cfg.filename)
    made.merge_from_dict(dict(options))
    return Config(_without_marks(made.to_dict()), filename=cfg.filename)


def _without_marks(value: Any) -> Any:
    """Remove ``_delete_``, which stays where there was nothing to delete."""
    if isinstance(value, dict):
        return {
            key: _without_marks(inner)
            for key, inner in value.items() if key != '_delete_'
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_marks(inner) for inner in value)
    return value


def cost_of(cfg: Config, name: str,
            work_dir: str) -> Tuple[int, Tuple[Optional[int], ...]]:
    """Count the updates of a training run from its config.

    Args:
        cfg (Config): Of one run or of several stages.
        name (str): The row, for errors.
        work_dir (str): Where it would run.

    Returns:
        tuple[int, tuple[int | None]]: Updates of the optimiser, of all stages
        together; and samples in a step of one process, of each stage that is
        trained.

    Raises:
        ValueError: If the config counts passes, or is not trained by a loop
            that counts updates.
    """
    if cfg.get('stages'):
        from mmmultissl.engine.stages import expand_stages

        # Stages make seeds of the seed, which is a placeholder still.
        seeded = merge(cfg, {'randomness.seed': 0})
        stages = [each for each in expand_stages(seeded, work_dir)
                  if each.updates]
        return (sum(stage.updates for stage in stages),
                tuple(_batch(stage.cfg) for stage in stages))
    steps = (cfg.get('train_cfg') or {}).get('max_iters')
    if steps is None:
        raise ValueError(
            f'The row {name} counts passes over its data, not updates: set '
            'train_cfg.max_iters, or total_updates of the comparison.')
    every = _accumulation(cfg)
    if steps % every:
        raise ValueError(
            f'The row {name} makes an update of every {every} steps, and '
            f'{steps} steps are no whole number of those: change '
            'train_cfg.max_iters.')
    return steps // every, (_batch(cfg), )


def _batch(cfg: Config) -> Optional[int]:
    return (cfg.get('train_dataloader') or {}).get('batch_size')


def _accumulation(cfg: Config) -> int:
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)


def updates_options(cfg: Config, updates: int, name: str) -> Dict[str, Any]:
    """Say which settings give a run so many updates.

    Args:
        cfg (Config): Of one run or of several stages.
        updates (int): Of the optimiser.
        name (str): The row, for errors.

    Returns:
        dict[str, Any]: Dotted keys.

    Raises:
        ValueError: If its loop does not count updates.
    """
    if cfg.get('stages'):
        return dict(total_updates=updates)
    loop = cfg.get('train_cfg') or {}
    if not str(loop.get('type', '')).endswith(_LOOPS):
        raise ValueError(
            f'The row {name} trains by the loop {loop.get("type")}, which '
            f'does not count updates: take {" or ".join(_LOOPS)}.')
    return {
        'train_cfg.max_epochs': None,
        'train_cfg.max_iters': updates * _accumulation(cfg)
    }


def row_config(row: Row, updates: Optional[int]) -> Config:
    """Put the config of a row together, placeholders left in it.

    Args:
        row (Row): The row.
        updates (int, optional): How many updates it is given; what its own
            ``cfg_options`` say wins. None leaves the config's.

    Returns:
        Config: The whole config, without parents.

    Raises:
        ValueError: If its ``cfg_options`` set what nobody reads, or its
            balancer weighs a task that is not there.
    """
    read = row.read()
    try:
        check_left_out_tasks(read, row.cfg_options)
        check_variables(read, row.cfg_options)
    except ValueError as error:
        raise ValueError(f'The row {row.name}: {error}') from error
    cfg = merge(read, {
        'randomness.seed': '{seed}',
        **row.cfg_options
    })
    if updates is not None:
        cfg = merge(
            cfg, {
                key: value
                for key, value in updates_options(cfg, updates,
                                                  row.name).items()
                if key not in row.cfg_options
            })
    cfg = with_columns(cfg, row)
    tasks = (cfg.get('model') or {}).get('tasks')
    if tasks:
        # Left out by a parent, and nothing that a file without parents has.
        cfg.model.tasks = {
            name: task
            for name, task in tasks.items() if task is not None
        }
        _check_weights(cfg, row.name)
    return cfg


def _check_weights(cfg: Config, row: str) -> None:
    """Refuse weights of tasks that are not there before anything runs."""
    if cfg.get('stages'):  # whose distillation is a task that is yet to come
        return
    weights = (cfg.model.get('balancer') or {}).get('weights')
    for task in weights if isinstance(weights, dict) else ():
        if task not in cfg.model.tasks:
            raise ValueError(
                f'The row {row}: model.balancer.weights names the task {task}'
                f', but the tasks of its model are {", ".join(cfg.model.tasks)}'
                ': correct the name.')


def column_sources(rows: Sequence[str]) -> Dict[str, Dict[str, str]]:
    """Name the checkpoints of columns by placeholders.

    Args:
        rows (Sequence[str]): The rows whose encoders they are.

    Returns:
        dict[str, dict]: Name of the column to ``checkpoint`` and ``sha256``.
    """
    # A module's name has no dot.
    return {
        row.replace('.', '_'):
        dict(checkpoint=f'{{row:{row}}}', sha256=f'{{sha256:{row}}}')
        for row in rows
    }


def with_columns(cfg: Config, row: Row) -> Config:
    """Give a config the backbone of a row with columns.

    Args:
        cfg (Config): With a plain ``model.backbone``.
        row (Row): The row.

    Returns:
        Config: Another one, or the same where the row has no columns.
    """
    if row.concat:
        return merge(
            cfg,
            concat_overrides(column_sources(row.concat),
                             cfg.model.backbone.to_dict()))
    if row.progressive:
        return merge(
            cfg,
            progressive_overrides(
                column_sources(row.progressive),
                cfg.model.backbone.to_dict(), row.name.replace('.', '_')))
    return cfg


def downstream_config(cfg: Config, row: Row, trained: Config) -> Config:
    """Give a downstream config the encoder of a row.

    Args:
        cfg (Config): Of the downstream task.
        row (Row): The row.
        trained (Config): Its config.

    Returns:
        Config: Another one where the row's encoder has columns and the
        config does not say so itself; heads and necks are as wide as it.
    """
    model = cfg.model.to_dict()
    backbone = model['backbone']
    if 'columns' in backbone:
        return cfg
    if '.' not in backbone['type'] and cfg.get('default_scope'):
        # Inside ours it would be looked for elsewhere first.
        backbone['type'] = f'{cfg.default_scope}.{backbone["type"]}'
    if row.concat:
        return merge(
            cfg,
            concat_overrides(
                column_sources(row.concat),
                backbone,
                # Detectors train the encoder on, heads on sound do not.
                frozen=model.get('frozen', False),
                model_cfg=model))
    if 'columns' in trained.model.get('backbone', {}):
        return merge(
            cfg,
            transfer_overrides(
                trained.model.backbone.to_dict(), backbone, model_cfg=model))
    return cfg


def write_text(content: Dict[str, Any], head: str) -> str:
    """Write a config as the text of a Python file.

    Args:
        content (dict[str, Any]): Plain values, without parents.
        head (str): A comment for the first line.

    Returns:
        str: The text, which reads back as the same values.

    Raises:
        ValueError: If a value is none that Python writes as it reads it.
    """
    parts = [f'# {head}']
    for key, value in content.items():
        text = pprint.pformat(value, width=79, sort_dicts=False)
        try:
            same = ast.literal_eval(text) == value
        except (ValueError, SyntaxError):
            same = False
        if not same:
            raise ValueError(
                f'{key} of a config holds a value that cannot be written to '
                f'a file ({text[:60]}): give plain numbers, texts, lists and '
                'dicts.')
        parts.append(f'{key} = {text}')
    return '\n'.join(parts) + '\n'
