# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which pretext tasks a row can be judged by: those that it has heads of."""
from typing import Sequence, Tuple

from mmengine.config import Config

from mmmultissl.engine.stages.spec import read_stage, stage_order

from .evaluations import Column


def trained_tasks(content: dict) -> Tuple[str, ...]:
    """List the tasks that a config trains, in all of its stages.

    Args:
        content (dict): The config of a row.

    Returns:
        tuple[str]: Their names, each once.
    """
    if content.get('stages'):
        specs = [
            read_stage(name, content['stages'][name])
            for name in stage_order(Config(content))
        ]
        return tuple(dict.fromkeys(
            task for spec in specs for task in spec['tasks']))
    tasks = (content.get('model') or {}).get('tasks') or {}
    return tuple(name for name, task in tasks.items() if task is not None)


def task_of(column: Column) -> str:
    """Name the task of a figure.

    Args:
        column (Column): Of an evaluation of the kind ``pretext``.

    Returns:
        str: The first part of its key: that of ``spatial.accuracy`` is
        ``spatial``.
    """
    return column.key.partition('.')[0]


def columns_with_heads(columns: Sequence[Column],
                       tasks: Sequence[str]) -> Tuple[Column, ...]:
    """Keep the figures that a row can have.

    Args:
        columns (sequence[Column]): Of an evaluation of the kind ``pretext``.
        tasks (sequence[str]): Those that the row trains.

    Returns:
        tuple[Column]: Of these tasks.
    """
    return tuple(each for each in columns if task_of(each) in tasks)
