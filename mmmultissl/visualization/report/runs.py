# Copyright (c) mmmultissl contributors. All rights reserved.
"""The runs that a report is about, and what they have left on the disk."""
import functools
import json
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

from mmengine.config import Config

from mmmultissl.engine.checkpoint import find_latest_complete, load_checkpoint

PRETRAINING, EVALUATION, DETECTION = 'pretrain', 'voc07.json', 'detect'
RANDOM = 'random'


def kind_of(line: dict) -> str:
    """Say what a logged line is of.

    Args:
        line (dict): A line of ``scalars.json``.

    Returns:
        str: ``'train'``, ``'monitor'`` or ``'validation'``.
    """
    if 'loss' in line:
        return 'train'
    return 'monitor' if any(
        key.startswith('monitor/') for key in line) else 'validation'


def read_scalars(path: Path) -> List[dict]:
    """Read what a run has logged, in the order of the steps.

    A step that was run again after an interruption counts once, as it was
    logged last. Training, validation and what a monitor measured are kept
    apart.

    Args:
        path (Path): Its work dir.

    Returns:
        list[dict]: The lines of all ``scalars.json``.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted(path.glob('*/vis_data/scalars.json'))
    found: Dict[tuple, dict] = {}
    for file in files:
        for text in file.read_text(encoding='utf-8').splitlines():
            line = json.loads(text)
            found[line['step'], kind_of(line)] = line
    if not found:
        raise FileNotFoundError(
            f'{path} has no */vis_data/scalars.json, from which the '
            'curves are drawn: keep LocalVisBackend among '
            'visualizer.vis_backends of the config.')
    return [found[key] for key in sorted(found)]


def trained_steps(path: Path, lines: Sequence[dict]) -> int:
    """Tell how many steps a run was trained.

    Args:
        path (Path): Its work dir.
        lines (Sequence[dict]): What it has logged.

    Returns:
        int: The iteration of its last checkpoint, which comes after the last
        line where the length is no multiple of the logger's interval; the
        step of the last line where checkpoints count epochs.
    """
    logged = max((line['step'] for line in lines), default=0)
    pointer = path / 'last_checkpoint'
    saved = pointer.is_file() and re.search(
        r'iter_(\d+)\.pth$', pointer.read_text(encoding='utf-8').strip())
    return max(logged, int(saved.group(1))) if saved else logged


def training_seconds(lines: Sequence[dict], updates: int) -> float:
    """Sum up the time of training steps.

    Args:
        lines (Sequence[dict]): Logged training steps, in their order, at
            least one.
        updates (int): How many steps there were.

    Returns:
        float: Seconds, without start-up, checkpoints and evaluation. A
        line's time, a mean over its last steps, stands for all steps since
        the line before it.
    """
    total, before = 0., 0
    for line in lines:
        total += line['time'] * (line['step'] - before)
        before = line['step']
    # The last steps may be too few for a line of their own.
    return total + line['time'] * max(updates - before, 0)


class WorkDir:
    """The folder of a finished training run.

    Args:
        path (Path): What ``--work-dir`` was.

    Raises:
        FileNotFoundError: If it holds no config or no checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # The runner writes the whole config there at its start.
        configs = sorted(path.glob('*.py'), key=lambda f: f.stat().st_mtime)
        checkpoint = find_latest_complete(path) if configs else None
        if checkpoint is None:
            raise FileNotFoundError(
                f'{path} holds no {"checkpoint" if configs else "config"} of '
                'a training run: give it as --work-dir to tools/train.py '
                'first.')
        self.checkpoint = checkpoint
        self.config: Config = Config.fromfile(configs[-1])

    @functools.cached_property
    def updates(self) -> int:
        """int: How many steps the checkpoint has been trained for."""
        return load_checkpoint(self.checkpoint)['meta']['iter']

    def scalars(self) -> List[dict]:
        """Read what was logged, in the order of the steps.

        A step that was run again after an interruption counts once, as it
        was logged last. Validation is kept apart from training.

        Returns:
            list[dict]: The lines of all ``scalars.json``.

        Raises:
            FileNotFoundError: If there are none.
        """
        return read_scalars(self.path)

    def training(self) -> List[dict]:
        """Read the lines of training steps.

        Returns:
            list[dict]: With ``step``, ``time`` (seconds of a step) and the
            losses.
        """
        return [line for line in self.scalars() if 'loss' in line]

    def seconds(self) -> float:
        """Sum up the time of the training steps.

        Returns:
            float: Seconds, without start-up, checkpoints and evaluation. A
            line's time, a mean over its last steps, stands for all steps
            since the line before it.
        """
        return training_seconds(self.training(), self.updates)


class Run(NamedTuple):
    """One way of getting a backbone, and what came of it.

    Attributes:
        name (str): Its name, that of its folder.
        pretraining (WorkDir | None): None for random weights.
        evaluation (dict): The json of ``tools/voc07.py``.
        detection (WorkDir | None): Fine-tuning from it, where there was one.
    """
    name: str
    pretraining: Optional[WorkDir]
    evaluation: dict
    detection: Optional[WorkDir]

    @property
    def tasks(self) -> List[str]:
        """list[str]: Names of the tasks that trained it, sorted."""
        if self.pretraining is None:
            return []
        tasks = self.pretraining.config.model.get('tasks') or {}
        return sorted(name for name, task in tasks.items()
                      if isinstance(task, dict))


def find_runs(folder: Path,
              names: Optional[Sequence[str]] = None) -> List[Run]:
    """Find the runs in a folder: a folder each, named as the run.

    ::

        FOLDER/
          random/   voc07.json  detect/
          moco/     pretrain/  voc07.json
          both/     pretrain/  voc07.json  detect/

    Args:
        folder (Path): Holds the runs' folders.
        names (Sequence[str], optional): Which to take, in this order.
            Defaults to None: all, ``random`` first, then those of fewer tasks.

    Returns:
        list[Run]: The runs.

    Raises:
        FileNotFoundError: If something of a run is missing.
    """
    if names:
        return [_read_run(folder / name) for name in names]
    found = [
        _read_run(file.parent)
        for file in sorted(folder.glob(f'*/{EVALUATION}'))
    ]
    if not any(run.pretraining for run in found):
        raise FileNotFoundError(
            f'{folder} holds no run: a run is a folder in it with the work '
            f'dir {PRETRAINING}/ of the pretraining and {EVALUATION}, the '
            'json of tools/voc07.py.')
    return sorted(found, key=lambda run: len(run.tasks))


def _read_run(folder: Path) -> Run:
    evaluation = folder / EVALUATION
    if not evaluation.is_file():
        raise FileNotFoundError(
            f'{evaluation} is missing: write it with tools/voc07.py CONFIG '
            f'CHECKPOINT --out {evaluation}.')
    parts = {
        name: WorkDir(folder / name) if (folder / name).is_dir() else None
        for name in (PRETRAINING, DETECTION)
    }
    if parts[PRETRAINING] is None and folder.name != RANDOM:
        raise FileNotFoundError(
            f'{folder / PRETRAINING} is missing: a run without pretraining is '
            f'called {RANDOM}.')
    return Run(folder.name, parts[PRETRAINING],
               json.loads(evaluation.read_text(encoding='utf-8')),
               parts[DETECTION])
