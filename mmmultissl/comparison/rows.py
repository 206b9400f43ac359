# Copyright (c) mmmultissl contributors. All rights reserved.
"""The rows of a comparison, from what its config lists and sweeps over."""
import itertools
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Optional, Tuple

from mmengine.config import Config

from mmmultissl.engine.backbone_weights import COLUMNS, RANDOM
from mmmultissl.models.balancers.base import Balancer
from mmmultissl.registry import MODELS
from mmmultissl.utils.arguments import check_arguments
from mmmultissl.utils.command_line import read_config
from mmmultissl.utils.setting_kinds import (at_least_1, dict_of, flag_of,
                                            known_keys, names_of, number_of,
                                            optional, part_of_1, seeds_of,
                                            short, take_settings, text_of,
                                            texts_of)

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.+-]*')


@dataclass(frozen=True)
class Row:
    """One way of getting an encoder.

    Args:
        name (str): Its name in the tables and on the disk.
        config (str): The config of its pretraining; of a row that is not
            trained, one that holds its backbone.
        cfg_options (dict): Settings to override, dotted keys. Strings may
            hold ``{row:NAME}``, the checkpoint of another row with the same
            seed, ``{sha256:NAME}``, that file's hash, ``{work_dir}``, the
            comparison's folder, and ``{seed}``. Defaults to none.
        train (bool): Whether it is trained. Defaults to True.
        checkpoint (str, optional): What is evaluated where the row is not
            trained: a path, ``{row:NAME}``, ``random``, or for a backbone of
            columns with files of their own ``columns``. Defaults to None.
        seeds (tuple[int], optional): Its seeds. Defaults to None: those of
            the comparison.
        concat (tuple[str]): Rows whose encoders stand side by side in this
            one, which is not trained then. Defaults to none.
        progressive (tuple[str]): Rows whose encoders are the frozen earlier
            columns of this one's, from the first to the last; each but the
            first is a progressive row over those before it. Defaults to
            none.
        parts (tuple[str]): Rows whose updates this one costs too, such as
            those of its teachers. Defaults to those of ``concat`` and
            ``progressive``.
        part (bool): Whether it exists for other rows only: it is trained,
            but neither evaluated nor in the tables. Defaults to False.
        updates (int, optional): Updates of this row itself. Defaults to
            None: ``share``, or what its parts leave of the budget, all of it
            where there are none.
        share (float, optional): Its updates as a part of the budget, to the
            next whole number. Defaults to None.
        beyond_budget (str, optional): Why this row may use another number of
            updates than the others; it is printed. Defaults to None: it may
            not.
        evaluations (dict): Evaluation -> settings of it that are other ones
            for this row, or None to leave it out. Defaults to none.
        usual (float, optional): Seconds that its training takes, for the
            first guess at the time left. Defaults to None.
        sweep (dict, optional): See :func:`expand`. Defaults to None.
    """
    name: str
    config: str
    cfg_options: Dict[str, Any] = field(default_factory=dict)
    train: bool = True
    checkpoint: Optional[str] = None
    seeds: Optional[Tuple[int, ...]] = None
    concat: Tuple[str, ...] = ()
    progressive: Tuple[str, ...] = ()
    parts: Tuple[str, ...] = ()
    part: bool = False
    updates: Optional[int] = None
    share: Optional[float] = None
    beyond_budget: Optional[str] = None
    evaluations: Dict[str, Any] = field(default_factory=dict)
    usual: Optional[float] = None
    sweep: Optional[Dict[str, Any]] = None

    def read(self) -> Config:
        """Read its config, as the file has it.

        Returns:
            Config: The config.
        """
        try:
            return read_config(self.config)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'The row {self.name}: {error}') from error


def make_rows(listed: Dict[str, Optional[dict]],
              common: Dict[str, Any],
              config: Optional[str] = None) -> Dict[str, Row]:
    """Make the rows that a config lists, sweeps expanded.

    Args:
        listed (dict): Name -> arguments of :class:`Row`; None leaves out an
            inherited one.
        common (dict): ``cfg_options`` of all rows, before their own; dotted
            keys.
        config (str, optional): Of rows that name none. Defaults to None.

    Returns:
        dict[str, Row]: Name to row, in the order of the config.

    Raises:
        ValueError: If a name or an argument cannot be used.
    """
    rows: Dict[str, Row] = {}
    for name, settings in listed.items():
        if settings is None:
            continue
        if not _NAME.fullmatch(name):
            raise ValueError(
                f'The row {name!r} cannot name a folder: use letters, digits '
                'and _ . + -, a letter or digit first.')
        settings = dict_of(f'The row {name}', settings)
        if config is not None:
            settings = dict(dict(config=config), **settings)
        settings = take_settings(f'The row {name}', settings, _SETTINGS)
        if not settings.get('config'):
            raise ValueError(f'The row {name} has no config: name the file of '
                             'its pretraining.')
        settings['cfg_options'] = {
            **common,
            **settings.get('cfg_options', {})
        }
        if settings.get('concat'):
            settings.update(train=False, checkpoint=COLUMNS)
        settings.setdefault(
            'parts',
            settings.get('concat') or settings.get('progressive') or ())
        row = Row(name=name, **settings)
        if not row.train and row.checkpoint is None:
            raise ValueError(
                f'The row {name} is not trained (train=False) and has no '
                f'checkpoint to evaluate: give a path, {{row:NAME}} or '
                f'"{RANDOM}", or rows to concat.')
        for made in expand(row):
            if made.name in rows:
                raise ValueError(f'Two rows are called {made.name}: rename '
                                 'one of them.')
            rows[made.name] = made
    for row in rows.values():
        strange = [
            part for part in (*row.parts, *row.concat, *row.progressive)
            if part not in rows
        ]
        if strange:
            raise ValueError(
                f'The row {row.name} is made of {strange[0]}, '
                f'which is no row: the rows are {", ".join(rows)}.')
    return rows


def expand(row: Row) -> List[Row]:
    """Make one row for each point of a sweep.

    ``sweep`` is a dict of one or more of

    - ``orders=True``: all orders of the config's ``stages``, or a list of
      orders; the names are ``ROW_a-b``;
    - ``balancer={name: config}`` or a list of type names: ``model.balancer``;
    - ``weights=[{task: weight}, ...]``: those of ``FixedWeights``;
    - ``options={name: {dotted key: value}}``: anything else.

    With several, all combinations are made.

    Args:
        row (Row): With or without ``sweep``.

    Returns:
        list[Row]: The rows, or the row itself.

    Raises:
        ValueError: If a kind is not known or does not fit.
    """
    if not row.sweep:
        return [row]
    known_keys(f'sweep of the row {row.name}', row.sweep, _KINDS)
    axes = []
    for kind, points in row.sweep.items():
        if not points:
            raise ValueError(f'sweep.{kind} of the row {row.name} is '
                             f'{short(points)}: name what to sweep over, or '
                             'leave it out.')
        axes.append([*_KINDS[kind](row, points)])
    rows = []
    for chosen in itertools.product(*axes):
        options = dict(row.cfg_options)
        for _, settings in chosen:
            options.update(settings)
        rows.append(
            replace(
                row,
                name='_'.join([row.name, *(name for name, _ in chosen)]),
                cfg_options=options,
                sweep=None))
    return rows


_Points = Iterator[Tuple[str, Dict[str, Any]]]


def _orders(row: Row, points: Any) -> _Points:
    cfg = row.read()
    cfg.merge_from_dict(dict(row.cfg_options))
    stages = [
        name for name, stage in (cfg.get('stages') or {}).items()
        if stage is not None
    ]
    if not stages:
        raise ValueError(f'The row {row.name} sweeps over orders, but '
                         f'{row.config} has no stages: take a config of '
                         'configs/incremental.')
    if points is True:
        points = [*itertools.permutations(stages)]
    where = f'sweep.orders of the row {row.name}'
    if not isinstance(points, (list, tuple)):
        raise ValueError(f'{where} is {short(points)}: set it to True for all '
                         "of them, or to a list of orders, such as [['a', "
                         "'b'], ['b', 'a']].")
    for order in points:
        order = texts_of(f'An order of {where}', order)
        yield '-'.join(order), dict(stage_order=list(order))


def _balancers(row: Row, points: Any) -> _Points:
    where = f'sweep.balancer of the row {row.name}'
    if not isinstance(points, dict):
        points = {
            name.split('.')[-1]: dict(
                type=name if '.' in name else f'mmmultissl.{name}')
            for name in names_of(where, points)
        }
    for name, settings in points.items():
        settings = dict_of(f'{where}.{name}', settings)
        _check_balancer(f'{where}.{name}', settings)
        yield name, {'model.balancer': dict(settings, _delete_=True)}


def _check_balancer(where: str, settings: dict) -> None:
    kind = settings.get('type')
    if not isinstance(kind, str):
        raise ValueError(f'{where} has no type: add the name of a balancer.')
    scope, _, name = kind.rpartition('.')
    if scope not in ('', 'mmmultissl'):
        # What the config imports registers it.
        return
    known = {
        each: found
        for each, found in MODELS.module_dict.items()
        if isinstance(found, type) and issubclass(found, Balancer)
    }
    if name in known:
        check_arguments(known[name], settings, where)
    elif scope:
        raise ValueError(f'{where} is of the type {kind}, which is no '
                         f'balancer: there are {", ".join(sorted(known))}.')


def _weights(row: Row, points: Any) -> _Points:
    where = f'sweep.weights of the row {row.name}'
    if not isinstance(points, (list, tuple)):
        raise ValueError(f'{where} is {short(points)}, but must be a list of '
                         'dicts, such as [dict(a=1, b=0.5)].')
    for weights in points:
        for task, weight in dict_of(f'An entry of {where}', weights).items():
            number_of(f'The weight of {task} in {where}', weight)
        yield '-'.join(f'{task}{weight:g}'
                       for task, weight in weights.items()), {
                           'model.balancer':
                           dict(
                               type='mmmultissl.FixedWeights',
                               weights=dict(weights),
                               _delete_=True)
                       }


def _options(row: Row, points: Any) -> _Points:
    where = f'sweep.options of the row {row.name}'
    for name, settings in dict_of(where, points).items():
        yield name, dict_of(f'{where}.{name}', settings)


# What each setting of a row is.
_SETTINGS = dict(
    config=text_of,
    cfg_options=dict_of,
    train=flag_of,
    checkpoint=optional(text_of),
    seeds=optional(seeds_of),
    concat=names_of,
    progressive=names_of,
    parts=names_of,
    part=flag_of,
    updates=optional(at_least_1),
    share=optional(part_of_1),
    beyond_budget=optional(text_of),
    evaluations=dict_of,
    usual=optional(number_of),
    sweep=dict_of)


_KINDS = dict(
    orders=_orders, balancer=_balancers, weights=_weights, options=_options)
