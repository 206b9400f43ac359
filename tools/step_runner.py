# Copyright (c) mmmultissl contributors. All rights reserved.
"""Run steps that need each other, a few at a time, and go on where it stopped.

It needs nothing but Python. ``tools/quickstart.py`` is built on it.
"""
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import (Callable, Dict, List, NamedTuple, Optional, Sequence, Set,
                    Tuple)

from show_progress import Command, Progress, tail_of, words_for

# Seconds between two looks, and between two reports where the output is not a
# terminal.
_LOOK, _PERIOD = .5, 20.


def make_environment(jobs: int) -> Dict[str, str]:
    """Share the cores out.

    Args:
        jobs (int): How many run at a time.

    Returns:
        dict[str, str]: Of the commands. An ``OMP_NUM_THREADS`` of this
        process's environment is kept.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(
        os, 'sched_getaffinity') else os.cpu_count() or 1
    threads = os.environ.get('OMP_NUM_THREADS', str(max(1, cores // jobs)))
    return dict(
        os.environ,
        OMP_NUM_THREADS=threads,
        MKL_NUM_THREADS=threads,
        PYTHONUNBUFFERED='1')


class Step(NamedTuple):
    """A command with a name.

    Attributes:
        name (str): Short; names its log and its mark.
        title (str): What is shown.
        usual (float): Seconds that it usually takes, beside another one.
        command (tuple[str]): Program and arguments. A word that ends in
            ``@FILE`` is completed by what that file holds when the step
            begins.
        needs (tuple[str]): Names of the steps that must be done before.
        output (Path | None): What it writes; removed where another command
            left it. A step whose output is gone is not done.
            Defaults to None.
        files (tuple[Path]): Files of the checkout that it depends on: where
            one has changed, the step is done again. Defaults to none.
        beside (tuple[Path]): Files that it writes beside its output.
            Defaults to none.
        prepare (Callable | None): Called when it begins, to write what the
            command reads; a ValueError or OSError of it is a failure of the
            step. Defaults to None.
        finish (Callable | None): Called when the command has succeeded, with
            the seconds that it took, before the step counts as done; a
            ValueError or OSError of it is a failure of the step. It returns
            a checksum of what counts of the step's files, or None for that of
            all. Defaults to None.
        after (tuple[str]): Names of steps that spare this one work where they
            are done before: it waits for them as long as something else can
            begin. Defaults to none.
        spared (tuple[str]): Words added to the command where those of
            ``after`` are done, which change nothing in what it makes.
            Defaults to none.
    """
    name: str
    title: str
    usual: float
    command: Tuple[str, ...]
    needs: Tuple[str, ...] = ()
    output: Optional[Path] = None
    files: Tuple[Path, ...] = ()
    beside: Tuple[Path, ...] = ()
    prepare: Optional[Callable[[], None]] = None
    finish: Optional[Callable[[float], Optional[str]]] = None
    after: Tuple[str, ...] = ()
    spared: Tuple[str, ...] = ()

    @property
    def written(self) -> Tuple[Path, ...]:
        """tuple[Path]: What it writes."""
        return (self.output, *self.beside) if self.output else self.beside


def words_of(step: Step) -> List[str]:
    """Complete the words of a command that stand in files.

    Args:
        step (Step): The step.

    Returns:
        list[str]: The command.
    """
    made = []
    for word in step.command:
        before, mark, file = word.partition('@')
        made.append(before + Path(file).read_text().strip() if mark else word)
    return made


def time_left(steps: Sequence[Step], done: Sequence[str],
              running: Dict[str, float], lanes: int, pace: float) -> float:
    """Estimate when the last step will end, by going through the schedule.

    Args:
        steps (Sequence[Step]): All steps, in the order of preference.
        done (Sequence[str]): Names of those that are done.
        running (dict[str, float]): Name to seconds left of those that run.
        lanes (int): How many run at a time.
        pace (float): Seconds of this machine per usual second.

    Returns:
        float: Seconds.
    """
    ends = dict.fromkeys(done, 0.)
    ends.update(running)
    free = sorted([*running.values(), *[0.] * (lanes - len(running))])
    waiting = [step for step in steps if step.name not in ends]
    while waiting:
        # The lane that is free first takes the first step that can begin, or
        # else the one that can begin soonest.
        able = [
            step for step in waiting
            if all(need in ends for need in step.needs)
        ]
        start = {
            step.name: max([free[0], *[ends[need] for need in step.needs]])
            for step in able
        }
        step = min(able, key=lambda step: start[step.name])
        ends[step.name] = start[step.name] + step.usual * pace
        free = sorted([*free[1:], ends[step.name]])
        waiting.remove(step)
    return max(ends.values(), default=0.)


def checksum_of(paths: Sequence[Path]) -> str:
    """Compute a checksum of files.

    Args:
        paths (Sequence[Path]): Files, and folders with all that is in them.

    Returns:
        str: SHA-256 of names and contents, 64 hexadecimal digits.
    """
    found = hashlib.sha256()
    for path in paths:
        inside = sorted(path.rglob('*')) if path.is_dir() else [path]
        for file in inside:
            if file.is_file():
                found.update(f'{file.relative_to(path.parent)}\n'.encode())
                with open(file, 'rb') as content:
                    while piece := content.read(1 << 20):
                        found.update(piece)
    return found.hexdigest()


class Runner:
    """Runs steps and keeps marks of what is done.

    A mark names the state of a step, its key (command, files and the keys of
    the steps that it needs), what it has made, and what the steps that it
    needs had made when it began. A step that was done is done again where one
    of those has made something else since.

    Args:
        steps (Sequence[Step]): In the order of preference; a step comes after
            those it needs.
        folder (Path): For logs and marks.
        lanes (int): How many run at a time.
        environment (dict[str, str]): Of the commands.
        keep (tuple[int]): File descriptors that the commands hold too, such
            as that of a lock. Defaults to none.
        go_on (bool): Whether a step that fails stops only those that need
            it. Defaults to False: it ends all.
    """

    def __init__(self, steps: Sequence[Step], folder: Path, lanes: int,
                 environment: Dict[str, str], keep: Tuple[int, ...] = (),
                 go_on: bool = False) -> None:
        self.keep = keep
        self.go_on = go_on
        # Exit status of the steps that failed, and the steps that need them.
        self.failed: Dict[str, int] = {}
        self.lost: Set[str] = set()
        self.steps = {step.name: step for step in steps}
        self.logs, self.marks = folder / 'logs', folder / 'steps'
        self.lanes = lanes
        self.environment = environment
        self.running: Dict[str, Command] = {}
        self.done: List[str] = []
        self.continued: List[str] = []
        # How many steps were not done before.
        self.ran = 0
        # (seconds taken, usual seconds) of the steps done from the beginning
        self.paces: List[Tuple[float, float]] = []
        self.keys: Dict[str, str] = {}
        # Step to all that must be done before, at any remove.
        self.before: Dict[str, Set[str]] = {}
        for step in steps:
            # A step depends on its command, on files and on earlier steps.
            text = json.dumps([
                step.command, *(file.read_text() for file in step.files),
                *(self.keys[need] for need in step.needs)
            ])
            self.keys[step.name] = hashlib.sha256(text.encode()).hexdigest()
            self.before[step.name] = {*step.needs}.union(
                *(self.before[need] for need in step.needs))

    def run(self) -> int:
        """Run all steps that are not done.

        Returns:
            int: 0, or the exit status of the step that failed, after the
            others were ended; with ``go_on`` 1 where any failed.
        """
        for folder in (self.logs, self.marks):
            folder.mkdir(parents=True, exist_ok=True)
        for name in self.steps:
            if self._state(name) == 'done':
                self.done.append(name)
        self.ran = len(self.steps) - len(self.done)
        if self.done:
            print(
                f'{len(self.done)} of {len(self.steps)} steps were done '
                'before',
                flush=True)
        self.start = time.monotonic()
        shown = _Lines()
        try:
            while len(self.done) + len(self.lost) < len(self.steps):
                status = self._begin_steps()
                if status:
                    return status
                for command in [*self.running.values()][:1]:
                    command.runs(_LOOK)
                for name in [*self.running]:
                    if not self.running[name].runs():
                        shown.clear()
                        status = self._finish(name)
                        if status:
                            return status
                if self.running:
                    shown.show(self.lines(time.monotonic()))
        finally:
            # After an interrupt or a failure; checkpoints stay.
            for command in self.running.values():
                command.end()
            shown.clear()
        return 1 if self.failed else 0

    def lines(self, now: float) -> List[str]:
        """Write what runs and how long all will take.

        Args:
            now (float): The time, on the clock of ``time.monotonic``.

        Returns:
            list[str]: A line for all steps, then one for each that runs.
        """
        left = self._left(now)
        lost = f', {len(self.lost)} given up' if self.lost else ''
        head = (f'{len(self.done)} of {len(self.steps)} steps done{lost}, '
                f'{words_for(now - self.start)} passed, '
                f'about {words_for(left)} left in all')
        return [
            head, *(f'  {command.progress.line(now)}'
                    for command in self.running.values())
        ]

    def _left(self, now: float) -> float:
        """Estimate the seconds until all steps are done."""
        known = [*self.paces]
        for name, command in self.running.items():
            left = command.progress.seconds_left(now)
            # From the beginning of a step, its pace tells little.
            if left is not None and now - command.progress.start > 15:
                known.append((now - command.progress.start + left,
                              self.steps[name].usual))
        pace = (
            sum(took for took, _ in known) /
            sum(usual for _, usual in known) if known else 1.)
        running = {}
        for name, command in self.running.items():
            passed = now - command.progress.start
            guess = self.steps[name].usual * pace - passed
            running[name] = max(
                command.progress.seconds_left(now) or 0., guess, 1.)
        steps = [
            step for name, step in self.steps.items() if name not in self.lost
        ]
        return time_left(steps, self.done, running, self.lanes, pace)

    def _begin_steps(self) -> int:
        settled = {*self.done, *self.lost}
        # At last those that would rather wait.
        order = sorted(
            self.steps.items(),
            key=lambda each: not settled.issuperset(each[1].after))
        for name, step in order:
            if len(self.running) == self.lanes:
                return 0
            if (name in self.running or name in self.done or name in self.lost
                    or not self.before[name].issubset(self.done)):
                continue
            # What an interrupted run of the same step left is continued; what
            # another command left is in the way.
            begun = self._state(name) == 'begun'
            log = self.logs / f'{name}.log'
            if not begun and self._is_foreign(step):
                status = self._refuse(
                    step, log, f'{step.output} is there already, and not by '
                    'this command: name another output, or move it away.')
                if status:
                    return status
                continue
            if not begun:
                _remove(step.output)
                self._mark(name, 'begun')
            if begun:
                self.continued.append(name)
            try:
                if step.prepare is not None:
                    step.prepare()
            except (OSError, ValueError) as error:
                status = self._refuse(step, log, str(error))
                if status:
                    return status
                continue
            # Not by what is there but is to be done anew.
            spared = step.spared if settled.issuperset(
                step.after) and not self.lost.intersection(step.after) else ()
            self.running[name] = Command(
                [*words_of(step), *spared],
                Progress(step.title, time.monotonic(), step.usual), log,
                self.environment, self.keep)
        return 0

    def _is_foreign(self, step: Step) -> bool:
        """Say whether a step's output was there before any of its runs."""
        if (step.output is None or not os.path.lexists(step.output)
                or (self.marks / step.name).is_file()):
            return False
        # Its own folder is its own.
        own = self.marks.parent.resolve()
        return own not in Path(os.path.abspath(step.output)).parents

    def _refuse(self, step: Step, log: Path, words: str,
                took: float = 0.) -> int:
        """Tell of a failure that is not the command's, at the log's end."""
        with open(log, 'a' if took else 'w', encoding='utf-8') as file:
            file.write(f'{words}\n')
        return self._fail(step, log, took, 1)

    def _fail(self, step: Step, log: Path, took: float, status: int) -> int:
        """Tell of a failure.

        Returns:
            int: Exit status of the whole; 0 where the others go on.
        """
        words = (f'{step.title}: failed after {words_for(took)} with exit '
                 f'status {status}; the whole output is in {log}')
        if not self.go_on:
            print(f'{tail_of(log)}\n{words}')
            return status if status > 0 else 1
        self.failed[step.name] = status
        # Steps come after those they need.
        self.lost.add(step.name)
        for other in self.steps.values():
            if self.lost.intersection(other.needs):
                self.lost.add(other.name)
        print(words, flush=True)
        return 0

    def _finish(self, name: str) -> int:
        step, command = self.steps[name], self.running.pop(name)
        status = command.status()
        took = time.monotonic() - command.progress.start
        if status:
            return self._fail(step, command.log, took, status)
        lacking = [path for path in step.written if not path.exists()]
        if lacking:
            return self._refuse(
                step, command.log, 'The command ended well, but did not write '
                f'{lacking[0]}: correct the command, or the output that it is '
                'said to have.', took)
        try:
            made = step.finish(took) if step.finish is not None else None
            made = made or checksum_of(step.written)
        except (OSError, ValueError) as error:
            return self._refuse(step, command.log, str(error), took)
        if name not in self.continued:
            self.paces.append((took, step.usual))
        self._mark(name, 'done', made)
        self.done.append(name)
        for other in [*self.done]:
            if self._state(other) != 'done':
                self.done.remove(other)
                print(f'{self.steps[other].title}: is done again, since it '
                      'needs what has changed')
        print(
            f'[{len(self.done)}/{len(self.steps)}] {step.title}: done in '
            f'{words_for(took)}',
            flush=True)
        return 0

    def is_done(self, name: str) -> bool:
        """Say whether a step is done and what it wrote is there.

        Args:
            name (str): The step.

        Returns:
            bool: Whether it is.
        """
        return self._state(name) == 'done'

    def changed(self) -> List[str]:
        """Name the steps that another command or other files have marked.

        Returns:
            list[str]: Names of steps that would be done anew, what they have
            left being removed.
        """
        return [
            name for name in self.steps
            if (self.marks / name).is_file() and self._state(name) is None
        ]

    def _state(self, name: str) -> Optional[str]:
        file = self.marks / name
        if not file.is_file():
            return None
        state, key, *more = file.read_text().split(' ')
        if key != self.keys[name]:
            return None
        # Marks of earlier versions do not say what the others had made.
        if more and more[1] != self._needed(name):
            return None
        step = self.steps[name]
        if state == 'done' and not all(path.exists() for path in step.written):
            return 'begun'
        return state

    def _made(self, name: str) -> str:
        """Say what a step had made when it was last done."""
        file = self.marks / name
        words = file.read_text().split(' ') if file.is_file() else []
        return words[2] if len(words) > 2 else '-'

    def _needed(self, name: str) -> str:
        """Say what the steps that a step needs have made."""
        made = ' '.join(self._made(need) for need in self.steps[name].needs)
        return hashlib.sha256(made.encode()).hexdigest()

    def _mark(self, name: str, state: str, made: Optional[str] = None) -> None:
        # One that is begun anew may make the same.
        text = ' '.join([state, self.keys[name], made or self._made(name),
                         self._needed(name)])
        beside = self.marks / f'.{name}'
        beside.write_text(text)
        os.replace(beside, self.marks / name)


def _remove(path: Optional[Path]) -> None:
    if path is None:
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Lines:
    """Lines rewritten in place, or repeated now and then in a file."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.count = 0
        self.last = time.monotonic()

    def show(self, lines: List[str]) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.clear()
            sys.stdout.write(''.join(f'{line[:width]}\n' for line in lines))
            self.count = len(lines)
        elif time.monotonic() - self.last >= _PERIOD:
            print('\n'.join(lines))
            self.last = time.monotonic()
        sys.stdout.flush()

    def clear(self) -> None:
        """Remove what is shown."""
        if self.count:
            sys.stdout.write(f'\033[{self.count}A\033[J')
            self.count = 0
