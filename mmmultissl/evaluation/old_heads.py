# Copyright (c) mmmultissl contributors. All rights reserved.
"""How well the heads of earlier stages do on the trunk of a later one."""
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Union

from mmengine.config import Config

from mmmultissl.engine.atomic_save import save_atomically
from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.engine.safe_load import load_safely
from mmmultissl.engine.stages import Record

TRUNK = 'backbone.'
NONE = '–'


class FinishedStage(NamedTuple):
    """A stage that a run has trained.

    Attributes:
        folder (Path): Its folder.
        record (Record): What it has written.
        others (tuple[str]): Tasks of its model that are no pretext tasks of
            the stage, such as its distillation.
    """
    folder: Path
    record: Record
    others: Sequence[str]

    @property
    def checkpoint(self) -> Path:
        """Path: What it has ended with."""
        return Path(self.record.path(str(self.folder)))


class HeadTest(NamedTuple):
    """One test: heads of a stage on the trunk of the same or a later one.

    Attributes:
        trunk (FinishedStage): Whose trunk.
        heads (FinishedStage): Whose heads, companions and config.
        tasks (tuple[str]): Which tasks are judged.
    """
    trunk: FinishedStage
    heads: FinishedStage
    tasks: Sequence[str]


def read_stages(work_dir: Union[str, Path]) -> List[FinishedStage]:
    """Read the stages of a run that is done.

    Args:
        work_dir (str | Path): Of a config with ``stages``.

    Returns:
        list[FinishedStage]: In their order, without empty ones.

    Raises:
        FileNotFoundError: If it is no such folder.
        ValueError: If it is not done, a checkpoint is not the one that was
            written, a stage cannot be tested, or its encoder is not the one
            of the stage before trained further.
    """
    work_dir = Path(work_dir)
    listed = work_dir / 'stages.json'
    if not listed.is_file():
        raise FileNotFoundError(
            f'{work_dir} is no work directory of a run with stages (it has no '
            'stages.json): name the one that tools/train.py was given.')
    stages = []
    for stage in json.loads(listed.read_text())['stages']:
        folder = work_dir / stage['folder']
        record = Record.read(str(folder))
        if record is None:
            raise ValueError(f'Stage {stage["name"]} of {work_dir} is not '
                             'done: let tools/train.py finish it first.')
        if record.updates:
            stages.append(_finished(folder, record))
    return stages


def _finished(folder: Path, record: Record) -> FinishedStage:
    checkpoint = Path(record.path(str(folder)))
    if not checkpoint.is_file() or sha256_of(str(checkpoint)) != record.sha256:
        raise ValueError(f'{checkpoint} is not the checkpoint that stage '
                         f'{record.name} has written: restore it.')
    if record.columns:
        raise ValueError(
            f'Stage {record.name} of {folder.parent} is a column of a '
            'progressive network: the columns before it are frozen and '
            'forget nothing, and tools/test.py judges its own task.')
    cfg = Config.fromfile(str(folder / 'config.py'))
    if cfg.get('test_cfg') is None:
        raise ValueError(
            f'{folder / "config.py"} has no test_cfg, so its tasks cannot be '
            'tested: give the run test_dataloader, test_evaluator and '
            'test_cfg, as configs/binaural have.')
    others = tuple(name for name, task in cfg.model.tasks.items()
                   if task is not None and name not in record.tasks)
    return FinishedStage(folder, record, others)


def head_tests(stages: Sequence[FinishedStage],
               last: bool = False) -> List[HeadTest]:
    """List the tests, each task by the heads that it was last trained with.

    Args:
        stages (sequence[FinishedStage]): From :func:`read_stages`.
        last (bool): Whether to test on the last trunk alone. Defaults to
            False: on that of each stage from the heads' own on.

    Returns:
        list[HeadTest]: In the order of the trunks.
    """
    tests = []
    newest: Dict[str, FinishedStage] = {}
    for stage in stages:
        newest.update({task: stage for task in stage.record.tasks})
        if last and stage is not stages[-1]:
            continue
        for heads in stages:
            tasks = tuple(task for task, of in newest.items() if of is heads)
            if tasks:
                tests.append(HeadTest(stage, heads, tasks))
    return tests


def write_mixed(test: HeadTest, path: Union[str, Path]) -> None:
    """Write a checkpoint of one stage's heads on another one's trunk.

    Args:
        test (HeadTest): Which.
        path (str | Path): The file.

    Raises:
        ValueError: If the trunks do not have the same parts and shapes.
    """
    heads = load_safely(str(test.heads.checkpoint))
    mixed = dict(heads['state_dict'])
    if test.trunk is not test.heads:
        trunk = load_safely(str(test.trunk.checkpoint))['state_dict']
        shapes = [{
            key: tuple(value.shape)
            for key, value in state.items() if key.startswith(TRUNK)
        } for state in (mixed, trunk)]
        if shapes[0] != shapes[1]:
            differ = {key for key, _ in
                      shapes[0].items() ^ shapes[1].items()}
            raise ValueError(
                f'The encoders of the stages {test.heads.record.name} and '
                f'{test.trunk.record.name} differ in {sorted(differ)[0]}: '
                'heads are judged on an encoder of the same kind.')
        mixed.update({key: trunk[key] for key in shapes[1]})
    save_atomically(dict(meta=heads['meta'], state_dict=mixed), path)


def figures_of(test: HeadTest, metrics: Dict[str, float]) -> Dict[str, float]:
    """Keep what belongs to a test's tasks.

    Args:
        test (HeadTest): Which.
        metrics (dict[str, float]): What ``tools/test.py`` has found.

    Returns:
        dict[str, float]: Without distillation and tasks that a later stage
        has trained with heads of its own.
    """
    obsolete = {
        *test.heads.others,
        *(task for task in test.heads.record.tasks if task not in test.tasks)
    }
    return {name: value for name, value in metrics.items()
            if name.partition('.')[0] not in obsolete}


@dataclass
class HeldOut:
    """What the heads of all stages have scored on which trunks.

    Attributes:
        after (dict[str, dict[str, float]]): Stage of the trunk -> measure,
            such as ``'spatial.accuracy'`` -> figure.
        trained (dict[str, str]): Measure -> the last stage that has trained
            its task.
    """
    after: Dict[str, Dict[str, float]] = field(default_factory=dict)
    trained: Dict[str, str] = field(default_factory=dict)

    def add(self, test: HeadTest, metrics: Dict[str, float]) -> None:
        """Add what a test has found.

        Args:
            test (HeadTest): Which.
            metrics (dict[str, float]): Figures of its tasks alone, see
                :func:`figures_of`.
        """
        self.after.setdefault(test.trunk.record.name, {}).update(metrics)
        self.trained.update({name: test.heads.record.name for name in metrics})

    @property
    def last(self) -> Dict[str, float]:
        """dict[str, float]: Measure -> figure on the last trunk."""
        return [*self.after.values()][-1]

    def change(self) -> Dict[str, float]:
        """Compute how much each measure has changed since its task's stage.

        The mean over tasks is the backward transfer of Lopez-Paz and Ranzato
        (NIPS 2017, equation 3).

        Returns:
            dict[str, float]: Measure -> the last figure less the one right
            after the last stage that trained its task; without those that
            were trained last, and where that trunk was not tested.
        """
        return {
            name: value - self.after[stage][name]
            for name, value in self.last.items()
            for stage in [self.trained[name]]
            if stage in self.after and self.after[stage] is not self.last
        }

    def lines(self) -> List[Sequence[str]]:
        """Lay the figures out.

        Returns:
            list[tuple[str]]: Headings, then a line per measure.
        """
        change = self.change()
        lines = [('', *(f'after {stage}' for stage in self.after),
                  *(['change'] if change else []))]
        for name in self.trained:
            cells = [found.get(name) for found in self.after.values()]
            line = [NONE if each is None else f'{each:.3f}' for each in cells]
            if change:
                line.append(
                    f'{change[name]:+.3f}' if name in change else NONE)
            lines.append((name, *line))
        return lines
