# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the trainings of a comparison have logged, stage after stage."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

from mmmultissl.comparison.comparison import Comparison
from mmmultissl.comparison.plan import pretrain_job
from mmmultissl.comparison.results import stage_folders, stage_name

from ..curves import task_losses
from ..runs import kind_of, read_scalars, trained_steps

_MONITOR = 'monitor/'


class Stage(NamedTuple):
    """What a stage has logged; a run without stages is one.

    Attributes:
        name (str): Its name, or '' for a run without stages.
        start (int): Steps of the stages before it.
        lines (list[dict]): Of training.
        monitor (list[dict]): Of the monitor, names without ``monitor/``.
    """
    name: str
    start: int
    lines: List[dict]
    monitor: List[dict]


class Log(NamedTuple):
    """What a row's training has logged.

    Attributes:
        row (str): The row.
        seed (int): The seed.
        stages (list[Stage]): In their order.
    """
    row: str
    seed: int
    stages: List[Stage]

    def losses(self) -> Dict[str, List[Tuple[float, float]]]:
        """Follow each task's loss through all stages.

        Returns:
            dict[str, list[tuple[float, float]]]: Task to steps, from the
            beginning of the first stage, and sums of weighted losses.
        """
        found: Dict[str, List[Tuple[float, float]]] = {}
        for stage in self.stages:
            for line in stage.lines:
                for task, value in task_losses(line).items():
                    found.setdefault(task, []).append(
                        (stage.start + line['step'], value))
        return found

    def monitored(self, prefix: str) -> Dict[str, List[Tuple[float, float]]]:
        """Follow what the monitor measured.

        Args:
            prefix (str): How the names begin, without ``monitor/``.

        Returns:
            dict[str, list[tuple[float, float]]]: The rest of the name to
            steps, from the beginning of the first stage, and values.
        """
        found: Dict[str, List[Tuple[float, float]]] = {}
        for stage in self.stages:
            for line in stage.monitor:
                for key, value in line.items():
                    if key.startswith(prefix):
                        found.setdefault(key[len(prefix):], []).append(
                            (stage.start + line['step'], value))
        return found


def read_stage(folder: Path, start: int) -> Stage:
    """Read what a stage has logged.

    Args:
        folder (Path): Its work dir.
        start (int): Steps of the stages before it.

    Returns:
        Stage: The stage.
    """
    lines = read_scalars(folder)
    return Stage(
        stage_name(folder), start,
        [line for line in lines if kind_of(line) == 'train'], [{
            key[len(_MONITOR):] if key.startswith(_MONITOR) else key: value
            for key, value in line.items()
        } for line in lines if kind_of(line) == 'monitor'])


def read_logs(comparison: Comparison, done: Sequence[str]) -> List[Log]:
    """Read the logs of the first seed of every row of the table.

    Args:
        comparison (Comparison): The comparison.
        done (Sequence[str]): Names of the jobs that are done.

    Returns:
        list[Log]: In the order of the rows; without those that are not
        trained, or whose training command leaves no ``scalars.json``.
    """
    logs = []
    for name in comparison.shown:
        seeds = [
            seed for seed in comparison.seeds_of(name)
            if comparison.rows[name].train
            and pretrain_job(name, seed) in done
        ]
        if not seeds:
            continue
        folders = stage_folders(comparison.work_dir(name, seeds[0]))
        if not all(any(f.glob('*/vis_data/scalars.json')) for f in folders):
            continue
        stages, start = [], 0
        for folder in folders:
            stages.append(read_stage(folder, start))
            start += trained_steps(
                folder, (*stages[-1].lines, *stages[-1].monitor))
        logs.append(Log(name, seeds[0], stages))
    return logs
