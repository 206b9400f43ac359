# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a config says about its stages, checked."""
from difflib import get_close_matches
from itertools import permutations
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

_SPEC_KEYS = ('tasks', 'updates', 'overrides', 'start', 'distill', 'teacher',
              'columns')
_START = dict(trunk=True, momentum=False, tasks=(), companions=())
_TEACHERS = ('last', 'last_ema', 'all')


def stage_order(cfg: Config) -> Tuple[str, ...]:
    """Get the order of the stages.

    Args:
        cfg (Config): A config with ``stages``.

    Returns:
        tuple[str]: The names.

    Raises:
        ValueError: If a name is unknown or comes twice, or there is none.
    """
    order = cfg.get('stage_order')
    # `--cfg-options stage_order=moco` gives a string.
    order = (order, ) if isinstance(order, str) else tuple(order or ())
    known = [name for name, spec in cfg.stages.items() if spec is not None]
    if not order:
        raise ValueError('stage_order is empty: name stages in the order in '
                         f'which they are to be trained; {have(known)}.')
    for name in order:
        if name not in known:
            raise ValueError(f'stage_order names {name}, which is no stage: '
                             f'{have(known)}.')
        if order.count(name) > 1:
            raise ValueError(
                f'stage_order names {name} twice: give the second one a name '
                f'of its own in stages, with tasks=("{name}", ).')
    return order


def all_orders(cfg: Config) -> List[Tuple[str, ...]]:
    """List every order of the stages, for comparisons.

    Args:
        cfg (Config): A config with ``stages``.

    Returns:
        list[tuple[str]]: The K! permutations, that of the config first.
    """
    return list(permutations(stage_order(cfg)))


def have(names: Sequence[str]) -> str:
    """List what there is, for errors.

    Args:
        names (Sequence[str]): The names.

    Returns:
        str: The end of a sentence.
    """
    return f'there are {", ".join(names)}' if names else 'there are none'


def read_stage(name: str, given: Any) -> dict:
    """Check one entry of ``stages`` and fill in what it leaves out.

    Args:
        name (str): The stage's name.
        given (dict): The entry.

    Returns:
        dict: With all keys that a stage may have.

    Raises:
        ValueError: If a key or value cannot be used.
    """
    given = {key: value for key, value in given.items() if key != '_scope_'}
    _check_keys(f'stages.{name}', given, _SPEC_KEYS)
    start = dict(given.get('start') or {})
    _check_keys(f'stages.{name}.start', start, tuple(_START))
    teacher = given.get('teacher', 'last')
    if teacher not in _TEACHERS:
        raise ValueError(f'stages.{name}.teacher is {teacher!r}: set it to '
                         f'one of {", ".join(_TEACHERS)}.')
    tasks = given.get('tasks', (name, ))
    distill = given.get('distill')
    if distill is not None and 'teacher' in distill:
        raise ValueError(
            f'stages.{name}.distill sets a teacher: choose one of the earlier '
            f'stages by stages.{name}.teacher ({", ".join(_TEACHERS)}).')
    columns = given.get('columns', False)
    start = {**_START, 'trunk': not columns, **start}
    if columns and (start['trunk'] or start['momentum']):
        raise ValueError(
            f'The stage {name} reads the stages before as frozen columns and '
            'draws a column of its own: set trunk and momentum of '
            f'stages.{name}.start to False, or leave them out.')
    return dict(
        tasks=(tasks, ) if isinstance(tasks, str) else tuple(tasks),
        updates=given.get('updates'),
        overrides=given.get('overrides') or {},
        start=start,
        distill=distill,
        teacher=teacher,
        columns=columns)


def _check_keys(where: str, given: dict, known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            similar = get_close_matches(key, known, 1)
            hint = f'did you mean {similar[0]}?' if similar else \
                f'it takes {", ".join(known)}.'
            raise ValueError(f'{where} has the key {key}, which nobody reads: '
                             f'{hint}')


def share_updates(order: Sequence[str], specs: Dict[str, dict],
                  total: Optional[int]) -> List[int]:
    """Share out the budget, so that every order costs the same.

    Args:
        order (Sequence[str]): The stages in their order.
        specs (dict): Name -> what :func:`read_stage` gave.
        total (int): Updates of all stages together.

    Returns:
        list[int]: The updates of each stage.

    Raises:
        ValueError: If the stages' updates do not add up to the total.
    """
    if not _is_count(total) or total < 1:
        raise ValueError(
            f'total_updates is {total!r}: set it to the number of optimiser '
            'updates of all stages together, at least 1.')
    given = {name: specs[name]['updates'] for name in order}
    for name, value in given.items():
        if value is not None and (not _is_count(value) or value < 0):
            raise ValueError(f'stages.{name}.updates is {value!r}: set it to '
                             'a whole number of updates, or leave it out for '
                             'an equal share of total_updates.')
    open_ones = [name for name in order if given[name] is None]
    left = total - sum(value for value in given.values() if value is not None)
    if left < 0 or (left > 0 and not open_ones):
        raise ValueError(
            f'The stages of stage_order have {total - left} updates, but '
            f'total_updates is {total}: make them equal, so that runs can be '
            'compared.')
    if open_ones:
        share, rest = divmod(left, len(open_ones))
        if share == 0:
            raise ValueError(
                f'total_updates={total} leaves {left} updates for the stages '
                f'{", ".join(open_ones)}: raise it, or set updates=0 for a '
                'stage that is to be empty.')
        for place, name in enumerate(open_ones):
            given[name] = share + (rest if place == 0 else 0)
    if given[order[0]] == 0:
        raise ValueError(
            f'The first stage {order[0]} has no updates, so there is nothing '
            'that it could hand on: give it some, or leave it out of '
            'stage_order.')
    return [given[name] for name in order]


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
