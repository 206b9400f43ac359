# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a config says about its stages, checked."""
import re
from itertools import permutations
from typing import Any, Dict, List, Optional, Sequence, Tuple

from mmengine.config import Config

from mmmultissl.utils.setting_kinds import (dict_of, flag_of, is_count,
                                            known_keys, names_of)

_SPEC_KEYS = ('tasks', 'updates', 'overrides', 'start', 'distill', 'teacher',
              'columns')
_START = dict(trunk=True, momentum=False, tasks=(), companions=())
_TEACHERS = ('last', 'last_ema', 'all')
# A stage's folder is called by its name.
_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.+-]*')


def stage_order(cfg: Config) -> Tuple[str, ...]:
    """Get the order of the stages.

    Args:
        cfg (Config): A config with ``stages``.

    Returns:
        tuple[str]: The names.

    Raises:
        ValueError: If a name is unknown, comes twice or cannot name a folder,
            or there is none.
    """
    order = names_of('stage_order', cfg.get('stage_order'))
    stages = dict_of('stages', cfg.stages)
    known = [name for name, spec in stages.items() if spec is not None]
    if not order:
        raise ValueError('stage_order is empty: name stages in the order in '
                         f'which they are to be trained; {have(known)}.')
    for name in order:
        if name not in known:
            raise ValueError(f'stage_order names {name}, which is no stage: '
                             f'{have(known)}.')
        if not _NAME.fullmatch(name):
            raise ValueError(
                f'The stage {name!r} cannot name a folder: use letters, '
                'digits and _ . + -, a letter, digit or _ first.')
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
    where = f'stages.{name}'
    given = {
        key: value
        for key, value in dict_of(where, given).items() if key != '_scope_'
    }
    known_keys(where, given, _SPEC_KEYS)
    start = dict(dict_of(f'{where}.start', given.get('start')))
    known_keys(f'{where}.start', start, tuple(_START))
    teacher = given.get('teacher', 'last')
    if teacher not in _TEACHERS:
        raise ValueError(f'{where}.teacher is {teacher!r}: set it to one of '
                         f'{", ".join(_TEACHERS)}.')
    if teacher != 'last' and 'distill' not in given:
        raise ValueError(
            f'{where} has the teacher {teacher!r} and no distill, which says '
            'what is learnt from it: add distill (dict() for the defaults), '
            'or leave teacher out.')
    distill = given.get('distill')
    if 'teacher' in dict_of(f'{where}.distill', distill):
        raise ValueError(
            f'{where}.distill sets a teacher: choose one of the earlier '
            f'stages by {where}.teacher ({", ".join(_TEACHERS)}).')
    columns = flag_of(f'{where}.columns', given.get('columns', False))
    start = {**_START, 'trunk': not columns, **start}
    for key, default in _START.items():
        take = flag_of if isinstance(default, bool) else names_of
        start[key] = take(f'{where}.start.{key}', start[key])
    if columns and (start['trunk'] or start['momentum']):
        raise ValueError(
            f'The stage {name} reads the stages before as frozen columns and '
            'draws a column of its own: set trunk and momentum of '
            f'{where}.start to False, or leave them out.')
    return dict(
        tasks=names_of(f'{where}.tasks', given.get('tasks', name)),
        updates=given.get('updates'),
        overrides=dict_of(f'{where}.overrides', given.get('overrides')),
        start=start,
        distill=distill,
        teacher=teacher,
        columns=columns)


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
    if not is_count(total) or total < 1:
        raise ValueError(
            f'total_updates is {total!r}: set it to the number of optimiser '
            'updates of all stages together, at least 1.')
    given = {name: specs[name]['updates'] for name in order}
    for name, value in given.items():
        if value is not None and (not is_count(value) or value < 0):
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
