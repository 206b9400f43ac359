# Copyright (c) mmmultissl contributors. All rights reserved.
"""A comparison: rows, seeds, evaluations and a budget, read from a config."""
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmmultissl.utils.command_line import read_config
from mmmultissl.utils.setting_kinds import (count_of, names_of, number_of,
                                            part_of_1, seeds_of, take_settings,
                                            text_of, texts_of)

from .budget import Budget, budgets_of, check_budgets, share_out
from .configs import cost_of, row_config
from .evaluations import Column, Evaluation, make_evaluations
from .placeholders import fill, keep, rows_in
from .rows import Row, make_rows

_KEYS = dict(
    config=str,
    rows=dict,
    evaluations=dict,
    seeds=(list, tuple),
    total_updates=int,
    reference=str,
    baselines=(list, tuple),
    cfg_options=dict,
    lists=dict,
    prepare=dict,
    train_command=(list, tuple),
    title=str,
    note=str)
# How near a key must be to one of these to be taken for a mistyped one: other
# keys are variables of the file.
_NEAR = .8
_NEEDED = ('rows', 'evaluations', 'total_updates')


@dataclass(frozen=True)
class Comparison:
    """All that is run and told.

    Args:
        folder (Path): Where everything goes.
        mode (str): ``'dev'`` or ``'test'``: which lists are scored.
        rows (dict[str, Row]): Name to row.
        configs (dict[str, Config]): Name to its whole config, placeholders
            left in it.
        budgets (dict[str, Budget]): Name to what it costs.
        evaluations (dict[str, Evaluation]): Name to evaluation.
        seeds (tuple[int]): Of rows that name none.
        total_updates (int): What every row costs.
        reference (str | None): Row that the others are compared with, seed
            by seed.
        baselines (tuple[str]): Single-task rows of the mean relative gain.
        lists (dict[str, dict]): Name -> ``root``, ``share`` and ``seed`` of
            :func:`~mmmultissl.comparison.voc_lists.write_dev_lists`.
        prepare (dict[str, dict]): Name -> ``command`` and ``output`` of what
            makes data first.
        train_command (tuple[str] | None): What trains, before ``--work-dir``.
        title (str): Of the report.
        note (str | None): What its reader should know first.
    """
    folder: Path
    mode: str
    rows: Dict[str, Row]
    configs: Dict[str, Config]
    budgets: Dict[str, Budget]
    evaluations: Dict[str, Evaluation]
    seeds: Tuple[int, ...]
    total_updates: int
    reference: Optional[str]
    baselines: Tuple[str, ...]
    lists: Dict[str, dict]
    prepare: Dict[str, dict]
    train_command: Optional[Tuple[str, ...]]
    title: str
    note: Optional[str]

    def seeds_of(self, row: str) -> Tuple[int, ...]:
        """Name the seeds of a row.

        Args:
            row (str): The row.

        Returns:
            tuple[int]: Its own, or those of the comparison.
        """
        own = self.rows[row].seeds
        return self.seeds if own is None else own

    @property
    def shown(self) -> Tuple[str, ...]:
        """tuple[str]: The rows of the tables."""
        return tuple(name for name, row in self.rows.items() if not row.part)

    @property
    def columns(self) -> Tuple[Column, ...]:
        """tuple[Column]: The figures of all evaluations."""
        return tuple(column for each in self.evaluations.values()
                     for column in each.columns)

    @property
    def out(self) -> Path:
        """Path: The folder of tables and report: those of the test lists do
        not replace those of the development lists."""
        return self.folder / self.mode

    def run_folder(self, row: str, seed: int) -> Path:
        """Name the folder of a row and seed.

        Args:
            row (str): The row.
            seed (int): The seed.

        Returns:
            Path: The folder.
        """
        return self.folder / 'runs' / row / f'seed{seed}'

    def work_dir(self, row: str, seed: int) -> Path:
        """Name the work dir of a pretraining.

        Args:
            row (str): The row.
            seed (int): The seed.

        Returns:
            Path: The folder.
        """
        return self.run_folder(row, seed) / 'pretrain'


def read_comparison(path: str,
                    folder: Path,
                    mode: str = 'dev',
                    options: Optional[Dict[str, Any]] = None) -> Comparison:
    """Read a comparison and check all that can be checked before it runs.

    Args:
        path (str): Its config.
        folder (Path): Where everything is to go.
        mode (str): ``'dev'`` or ``'test'``. Defaults to ``'dev'``.
        options (dict, optional): Settings of the config to override, dotted
            keys. Defaults to None.

    Returns:
        Comparison: The comparison.

    Raises:
        ValueError: If a setting cannot be used, or a row costs another
            number of updates than ``total_updates``.
        FileNotFoundError: If a config is not there.
    """
    whole = read_config(path)
    strange = sorted({key.split('.')[0] for key in options or {}} - {*_KEYS})
    if strange:
        raise ValueError(f'A comparison has no {strange[0]} to override: it '
                         f'has {", ".join(_KEYS)}.')
    whole.merge_from_dict(dict(options or {}))
    for key in whole.to_dict():
        similar = get_close_matches(key, _KEYS, 1, _NEAR)
        if key not in _KEYS and similar:
            raise ValueError(
                f'{path} has {key}, which no comparison reads: did you mean '
                f'{similar[0]}? Call a variable of your own something else.')
    cfg = {
        key: value
        for key, value in whole.to_dict().items() if key in _KEYS
    }
    missing = [key for key in _NEEDED if not cfg.get(key)]
    if missing:
        raise ValueError(
            f'{path} has no {missing[0]}: a comparison needs '
            f'{", ".join(_NEEDED)} (docs/compare.md).')
    for key, value in cfg.items():
        if value is not None and not isinstance(value, _KEYS[key]):
            raise ValueError(f'{key} of {path} is a {type(value).__name__}: '
                             'give it the form that docs/compare.md shows.')
    cfg = fill(cfg, dict(work_dir=str(folder)), keep)
    rows = make_rows(cfg['rows'], cfg.get('cfg_options') or {},
                     cfg.get('config'))
    evaluations = {
        name: each
        for name, each in make_evaluations(cfg['evaluations']).items()
        if each.only in (None, mode)
    }
    seeds = seeds_of('seeds', [0] if cfg.get('seeds') is None else
                     cfg['seeds'])
    lists = _settings_of('lists', cfg, _LISTS, ('root', ))
    prepare = _settings_of('prepare', cfg, _PREPARE, ('command', 'output'))
    reference = cfg.get('reference')
    baselines = names_of('baselines', cfg.get('baselines'))
    for name in [*baselines, *([reference] if reference else [])]:
        if name not in rows or rows[name].part:
            raise ValueError(
                f'{path} compares with the row {name}, which is not in the '
                'table: its rows are '
                f'{", ".join(r for r in rows if not rows[r].part)}.')
    for row in rows.values():
        strange = sorted(set(row.evaluations) - set(cfg['evaluations']))
        if strange:
            raise ValueError(
                f'The row {row.name} changes the evaluation {strange[0]}, '
                f'but there are {", ".join(cfg["evaluations"])}.')
    total = cfg['total_updates']
    given = share_out(rows, total)
    configs = {
        name: row_config(row, given[name] if row.train else None)
        for name, row in rows.items()
    }
    costs = {
        name: cost_of(configs[name], name,
                      str(folder / 'runs' / name)) if row.train else (0, ())
        for name, row in rows.items()
    }
    budgets = budgets_of(rows, configs, costs)
    check_budgets(rows, budgets, total)
    used = _used(rows, budgets, cfg['evaluations'])
    rows, configs, budgets = ({
        name: each[name]
        for name in used
    } for each in (rows, configs, budgets))
    train = cfg.get('train_command')
    return Comparison(
        folder=folder,
        mode=mode,
        rows=rows,
        configs=configs,
        budgets=budgets,
        evaluations=evaluations,
        seeds=seeds,
        total_updates=total,
        reference=reference,
        baselines=baselines,
        lists=lists,
        prepare=prepare,
        train_command=texts_of('train_command', train) or None,
        title=cfg.get('title') or 'Comparison',
        note=cfg.get('note'))


def _settings_of(key: str, cfg: dict, kinds: dict,
                 needed: Sequence[str]) -> Dict[str, dict]:
    """Take a dict of dicts; None leaves an inherited one out."""
    found = {
        name: take_settings(f'{key}.{name}', settings, kinds)
        for name, settings in (cfg.get(key) or {}).items()
        if settings is not None
    }
    for name, settings in found.items():
        for each in needed:
            if not settings.get(each):
                raise ValueError(f'{key}.{name} has no {each}, which it needs '
                                 '(docs/compare.md).')
    return found


_LISTS = dict(root=text_of, share=part_of_1, seed=count_of)
_PREPARE = dict(command=texts_of, output=text_of, usual=number_of)


def _used(rows: Dict[str, Row], budgets: Dict[str, Budget],
          evaluations: Dict[str, Any]) -> Tuple[str, ...]:
    """List the rows but for parts of rows that have been left out."""
    used = {*rows_in(evaluations)}
    for name, row in rows.items():
        if not row.part:
            used.update((name, *rows_in(row.evaluations)))
    # Unknown ones are told of with the jobs.
    for name in [*used & {*rows}]:
        used.update(budgets[name].parts)
    return tuple(name for name in rows if name in used)
