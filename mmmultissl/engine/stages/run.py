# Copyright (c) mmmultissl contributors. All rights reserved.
"""Run the stages of a config one after the other, and go on where it ended."""
import json
import os
import os.path as osp
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.dist import is_main_process

from ..atomic_save import write_text_atomically
from ..backbone_weights import sha256_of
from ..safe_load import load_safely
from .config_text import text_of
from .expand import Stage, expand_stages, pinned
from .group import free_port, locked, on_main
from .inputs import digest_of, inputs_of, require_same_inputs
from .progress import StageProgress, overview, title, words_for
from .record import Begun, Record
from .start_from import require_file
from .take_over import clear, take_over


class _Start(NamedTuple):
    """How a stage is to be started."""
    config: str
    resume: bool
    port: Optional[int]


def run_stages(cfg: Config,
               train: Callable[..., int],
               options: Sequence[str] = (),
               finished: Optional[str] = None) -> List[Record]:
    """Train the stages of a config, each in a process of its own.

    Finished stages are not trained again, and one that was cut off goes on
    from its last checkpoint. In ``cfg.work_dir`` each stage has a folder with
    ``config.py``, an ordinary config; ``stages.json`` lists the stages and
    ``last_checkpoint`` names the last stage's checkpoint.

    Args:
        cfg (Config): A config with ``stages``, and a ``work_dir``.
        train (Callable): Trains a config, such as :class:`StageProcesses`.
        options (Sequence[str]): Flags that ``train`` gives to the training
            tool and that change the result. Defaults to none.
        finished (str, optional): A folder with other runs: a stage that one
            of them has trained with the very same inputs is copied from
            there. Defaults to None: every stage is trained.

    Returns:
        list[Record]: One for each stage, on the first rank.

    Raises:
        ValueError: If the stages contradict each other, or what is in the
            folder was trained with other settings.
        FileNotFoundError: If a finished stage's checkpoint is gone.
        RuntimeError: If it was changed, or a stage ended early.
        SystemExit: With the exit status of a stage that failed.
    """
    work_dir = osp.abspath(cfg.work_dir)
    stages = expand_stages(cfg, work_dir)
    with locked(work_dir) as keep:
        say(overview(stages, work_dir))
        folder = _Folder(work_dir, stages, options, finished)
        on_main(folder.begin)
        for stage in stages:
            start = on_main(folder.start, stage)
            if start is None:
                continue
            name = title(stage, len(stages))
            say(f'{name}: goes on' if start.resume else f'{name}: begins')
            since = time.monotonic()
            try:
                status = train(start.config, stage.work_dir, start.resume,
                               start.port, keep, StageProgress(stage, stages))
            except SystemExit:  # by a signal, which ended the stage too
                say(f'{name}: interrupted after '
                    f'{words_for(time.monotonic() - since)}; the same command '
                    'goes on from its last checkpoint')
                raise
            finally:
                on = time.monotonic() - since
                if is_main_process():
                    folder.add_seconds(stage, on)
            if status:
                say(f'{name}: failed with exit status {status} after '
                    f'{words_for(on)}; the same command goes on from its last '
                    'checkpoint')
                raise SystemExit(status if status > 0 else 1)
            on_main(folder.finish, stage)
            say(f'{name}: done in {words_for(on)}')
        on_main(folder.end)
        return folder.records


def say(text: str) -> None:
    """Tell the user, once for all ranks.

    Args:
        text (str): The text.
    """
    if is_main_process():
        print(text, flush=True)


class _Folder:
    """A run on the disk; the first rank reads and writes it.

    Args:
        work_dir (str): The folder of the run.
        stages (Sequence[Stage]): Its stages.
        options (Sequence[str]): Flags that change the result.
        finished (str, optional): A folder with other runs. Defaults to None.
    """

    def __init__(self, work_dir: str, stages: Sequence[Stage],
                 options: Sequence[str],
                 finished: Optional[str] = None) -> None:
        self.finished = finished
        self.work_dir = work_dir
        self.stages = stages
        self.options = options
        self.records: List[Record] = []
        # Number of a finished stage -> its checkpoint, with the checksum.
        self.checkpoints: Dict[int, Tuple[str, str]] = {}

    def begin(self) -> None:
        """Take the folder for this order of stages."""
        clear(self.work_dir)
        path = Path(self.work_dir) / 'stages.json'
        order = [stage.name for stage in self.stages]
        if path.is_file():
            found = json.loads(path.read_text())['stage_order']
            if found != order:
                raise ValueError(
                    f'{self.work_dir} holds the stages {", ".join(found)}, '
                    f'but this run has {", ".join(order)}: give each order a '
                    '--work-dir of its own.')
        self._write_list()

    def start(self, stage: Stage) -> Optional[_Start]:
        """Decide what is to be done for a stage.

        Args:
            stage (Stage): The stage.

        Returns:
            _Start | None: How to train it; None if that is not needed.
        """
        os.makedirs(stage.work_dir, exist_ok=True)
        cfg = pinned(stage, self.checkpoints)
        inputs = inputs_of(cfg, self.work_dir, self.options)
        begun = Begun.read(stage.work_dir)
        record = Record.read(stage.work_dir)
        saved = any(Path(stage.work_dir).glob('*.pth'))
        if begun is not None:
            require_same_inputs(begun.inputs, inputs, stage.work_dir)
        elif saved:
            raise ValueError(
                f'{stage.work_dir} holds checkpoints that no staged run has '
                'written: give another --work-dir, or move them away.')
        if record is not None and begun is not None:
            require_file(record.path(stage.work_dir), record.sha256)
            self._keep(stage, record)
            if stage.updates:
                # It follows a run that was moved.
                write_text_atomically(
                    record.path(stage.work_dir),
                    osp.join(stage.work_dir, 'last_checkpoint'))
            say(f'{title(stage, len(self.stages))}: was done before')
            return None
        if begun is None:
            if self.finished is not None and stage.updates:
                source = take_over(stage, inputs, self.finished,
                                   self._text(stage, cfg))
                if source is not None:
                    self._keep(stage, Record.read(stage.work_dir))
                    say(f'{title(stage, len(self.stages))}: taken over from '
                        f'{source}')
                    return None
                os.makedirs(stage.work_dir, exist_ok=True)
            Begun(inputs).write(stage.work_dir)
        self._write_config(stage, cfg)
        if stage.updates == 0:
            self._hand_on(stage, inputs)
            return None
        # --resume sets load_from aside, which a stage that was cut off before
        # its first checkpoint still needs.
        return _Start(self._config_of(stage), saved, free_port())

    def add_seconds(self, stage: Stage, seconds: float) -> None:
        """Add to the time that a stage took.

        Args:
            stage (Stage): The stage.
            seconds (float): Wall-clock time of its process.
        """
        begun = Begun.read(stage.work_dir)
        begun.seconds += seconds
        begun.write(stage.work_dir)

    def finish(self, stage: Stage) -> None:
        """Record what a stage has made.

        Args:
            stage (Stage): The stage, whose process has ended well.

        Raises:
            RuntimeError: If it was not trained to its end.
        """
        pointer = Path(stage.work_dir) / 'last_checkpoint'
        path = pointer.read_text().strip() if pointer.is_file() else None
        done = load_safely(path)['meta']['iter'] if path else 0
        if done != stage.iterations:
            raise RuntimeError(
                f'{title(stage, len(self.stages))}, ended after iteration '
                f'{done} of {stage.iterations}, so it did not have its '
                'updates: look at its log for what ended it, and run the '
                'same command to go on.')
        begun = Begun.read(stage.work_dir)
        # The runner has written the config with how it was called.
        self._write_config(stage, pinned(stage, self.checkpoints))
        self._record(stage, path, sha256_of(path), begun)

    def end(self) -> None:
        """Point to the last checkpoint of the last stage."""
        write_text_atomically(self.last_checkpoint(),
                              osp.join(self.work_dir, 'last_checkpoint'))
        say(f'All stages are done: {self.last_checkpoint()}')

    def last_checkpoint(self) -> str:
        """Get the path of the last stage's checkpoint."""
        return self.checkpoints[len(self.stages)][0]

    def _hand_on(self, stage: Stage, inputs: dict) -> None:
        path, sha256 = self.checkpoints[stage.number - 1]
        self._record(stage, path, sha256, Begun(inputs))
        say(f'{title(stage, len(self.stages))}: is empty')

    def _record(self, stage: Stage, path: str, sha256: str,
                begun: Begun) -> None:
        record = Record(
            name=stage.name,
            number=stage.number,
            tasks=list(stage.tasks),
            updates=stage.updates,
            checkpoint=osp.relpath(path, stage.work_dir),
            sha256=sha256,
            seconds=round(begun.seconds, 1),
            teachers={
                task: self.checkpoints[number][1]
                for task, number in stage.teachers.items()
            },
            start_from=(None if stage.start is None else
                        self.checkpoints[stage.start][1]),
            config_sha256=digest_of(begun.inputs),
            columns={
                column: self.checkpoints[number][1]
                for column, number in stage.columns.items()
            })
        record.write(stage.work_dir)
        self._keep(stage, record)

    def _keep(self, stage: Stage, record: Record) -> None:
        self.records.append(record)
        self.checkpoints[stage.number] = (record.path(stage.work_dir),
                                          record.sha256)
        self._write_list()

    def _config_of(self, stage: Stage) -> str:
        return osp.join(stage.work_dir, 'config.py')

    def _text(self, stage: Stage, cfg: Config) -> str:
        return text_of(
            cfg, f'{title(stage, len(self.stages))}, written by '
            'tools/train.py: an ordinary config')

    def _write_config(self, stage: Stage, cfg: Config) -> None:
        write_text_atomically(self._text(stage, cfg), self._config_of(stage))

    def _write_list(self) -> None:
        done = {record.number for record in self.records}
        content = dict(
            stage_order=[stage.name for stage in self.stages],
            total_updates=sum(stage.updates for stage in self.stages),
            stages=[
                dict(
                    name=stage.name,
                    folder=osp.basename(stage.work_dir),
                    tasks=list(stage.tasks),
                    updates=stage.updates,
                    done=stage.number in done) for stage in self.stages
            ])
        write_text_atomically(
            json.dumps(content, indent=2) + '\n',
            osp.join(self.work_dir, 'stages.json'))
