# Copyright (c) mmmultissl contributors. All rights reserved.
"""The figures of a comparison, collected from what its jobs have left."""
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmmultissl.visualization.report.runs import (kind_of, read_scalars,
                                                  trained_steps,
                                                  training_seconds)

from .comparison import Comparison
from .evaluations import read_figures
from .plan import Plan, pretrain_job
from .statistics import (Difference, Figures, Spread, difference_of, gains_of,
                         spread_of)


class Summary(NamedTuple):
    """What is told of a row.

    Attributes:
        row (str): The row.
        spreads (dict[str, Spread | None]): Column to mean and deviation.
        differences (dict[str, Difference | None]): Column to the paired
            difference from the reference.
        gain (Spread | None): Mean relative gain over the mean of the single
            tasks, in per cent.
        gain_best (Spread | None): The same over the best single task of each
            column.
        updates (int): Updates that it costs, parts included.
        seconds (Spread | None): Of the training steps, parts included.
    """
    row: str
    spreads: Dict[str, Optional[Spread]]
    differences: Dict[str, Optional[Difference]]
    gain: Optional[Spread]
    gain_best: Optional[Spread]
    updates: int
    seconds: Optional[Spread]


def stage_folders(work_dir: Path) -> List[Path]:
    """List the work dirs of a run, one for each stage.

    Args:
        work_dir (Path): Of a run, with stages or not.

    Returns:
        list[Path]: Its stages' folders in their order, without empty stages,
        or itself.
    """
    stages = sorted(
        (file.parent for file in work_dir.glob('*_*/stage.json')
         if json.loads(file.read_text())['updates']),
        key=lambda folder: int(folder.name.partition('_')[0]))
    return stages or [work_dir]


def stage_name(folder: Path) -> str:
    """Name the stage of a folder.

    Args:
        folder (Path): From :func:`stage_folders`.

    Returns:
        str: The stage's name, or '' for a run without stages.
    """
    file = folder / 'stage.json'
    return json.loads(file.read_text())['name'] if file.is_file() else ''


def seconds_of(work_dir: Path) -> Optional[float]:
    """Sum up the seconds of a run's training steps.

    Args:
        work_dir (Path): Of a run, with stages or not.

    Returns:
        float | None: Seconds, without start-up, checkpoints and evaluation;
        None where a stage has logged no step.
    """
    total = 0.
    for folder in stage_folders(work_dir):
        if not any(folder.glob('*/vis_data/scalars.json')):
            return None
        lines = [
            line for line in read_scalars(folder) if kind_of(line) == 'train'
        ]
        # One that is shorter than the logger's interval has none.
        if not lines:
            return None
        total += training_seconds(lines, trained_steps(folder, lines))
    return total


def collect(comparison: Comparison, plan: Plan,
            done: Sequence[str]) -> Figures:
    """Read all figures that are there.

    Args:
        comparison (Comparison): The comparison.
        plan (Plan): Its jobs.
        done (Sequence[str]): Names of the jobs that are done.

    Returns:
        dict: Row to column to seed to figure.
    """
    figures: Figures = {
        row: {column.name: {}
              for column in comparison.columns}
        for row in comparison.shown
    }
    for result in plan.results:
        if result.job not in done:
            continue
        for name, value in read_figures(result.path, result.columns).items():
            figures[result.row][name][result.seed] = value
    return figures


def training_seconds_of(comparison: Comparison, row: str, seed: int,
                        done: Sequence[str]) -> Optional[float]:
    """Sum up what a row and its parts have cost.

    Args:
        comparison (Comparison): The comparison.
        row (str): The row.
        seed (int): The seed.
        done (Sequence[str]): Names of the jobs that are done.

    Returns:
        float | None: Seconds; None where a training is not done or has
        logged no step.
    """
    total = 0.
    for name in (row, *comparison.budgets[row].parts):
        if not comparison.rows[name].train:
            continue
        if pretrain_job(name, seed) not in done:
            return None
        seconds = seconds_of(comparison.work_dir(name, seed))
        if seconds is None:
            return None
        total += seconds
    return total


def summarise(comparison: Comparison, figures: Figures,
              done: Sequence[str]) -> List[Summary]:
    """Compute what the tables show.

    Args:
        comparison (Comparison): The comparison.
        figures (dict): From :func:`collect`.
        done (Sequence[str]): Names of the jobs that are done.

    Returns:
        list[Summary]: One for each row, in their order.
    """
    columns = {c.name: c.sign for c in comparison.columns if c.gain}
    made = []
    for row in comparison.shown:
        gains = [
            spread_of(
                gains_of(figures, row, columns, comparison.baselines,
                         best).values()) if comparison.baselines else None
            for best in (False, True)
        ]
        seconds = [
            training_seconds_of(comparison, row, seed, done)
            for seed in comparison.seeds_of(row)
        ]
        cost = comparison.budgets[row].total
        made.append(
            Summary(
                row, {
                    name: spread_of(values.values())
                    for name, values in figures[row].items()
                }, {
                    name: difference_of(values,
                                        figures[comparison.reference][name])
                    if comparison.reference not in (None, row) else None
                    for name, values in figures[row].items()
                }, *gains, cost,
                spread_of([s for s in seconds if s is not None])
                if cost else None))
    return made
