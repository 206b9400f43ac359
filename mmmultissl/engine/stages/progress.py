# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the user of a staged run sees beside the stages' own logs."""
import re
import time
from typing import List, Optional, Sequence

from .expand import Stage

_ITERATION = re.compile(r'Iter\(train\)\s*\[\s*(\d+)/\s*(\d+)\]')
# Seconds between two lines.
_PERIOD = 20.


def overview(stages: Sequence[Stage], work_dir: str) -> str:
    """Describe a run before it starts: every stage and its budget.

    Args:
        stages (Sequence[Stage]): The stages.
        work_dir (str): The folder of the run.

    Returns:
        str: A line for the whole, then one for each stage.
    """
    total = sum(stage.updates for stage in stages)
    lines = [f'{_count(len(stages), "stage")}, {_count(total, "update")} in '
             f'all, in {work_dir}']
    names = {stage.number: stage.name for stage in stages}
    width = max(map(len, names.values()))
    digits = max(len(f'{stage.updates:,}') for stage in stages)
    for stage in stages:
        told = [f'trains {", ".join(stage.tasks) or "no pretext task"}']
        if not stage.updates:
            told = ['empty, hands on what it gets']
        if stage.start is not None:
            told.append(f'starts from {names[stage.start]} '
                        f'({" ".join(stage.cfg.start_from.parts)})')
        if stage.teachers:
            who = ', '.join(names[number]
                            for number in stage.teachers.values())
            told.append(f'remembers {who}')
        if stage.columns:
            told.append(f'reads the columns {", ".join(stage.columns)}')
        lines.append(f'  {stage.number} {stage.name:<{width}}  '
                     f'{stage.updates:>{digits},} updates: '
                     f'{"; ".join(told)}')
    return '\n'.join(lines)


def title(stage: Stage, count: int) -> str:
    """Name a stage of a run.

    Args:
        stage (Stage): The stage.
        count (int): How many stages there are.

    Returns:
        str: Such as ``'stage 2 of 3, densecl'``.
    """
    return f'stage {stage.number} of {count}, {stage.name}'


class StageProgress:
    """Finds the updates in a stage's log and tells them now and then.

    Args:
        stage (Stage): The stage that runs.
        stages (Sequence[Stage]): All of them.
        period (float): Seconds between two lines. Defaults to 20.
    """

    def __init__(self, stage: Stage, stages: Sequence[Stage],
                 period: float = _PERIOD) -> None:
        self.title = title(stage, len(stages))
        self.updates = stage.updates
        self.counts = max(1, stage.iterations // max(1, stage.updates))
        self.after = sum(each.updates for each in stages
                         if each.number > stage.number)
        self.period = period
        self.first: Optional[List[float]] = None
        self.told_at = time.monotonic()

    def __call__(self, line: str) -> None:
        """Read a line of the stage's output.

        Args:
            line (str): The line.
        """
        found = _ITERATION.search(line)
        if not found:
            return
        now, done = time.monotonic(), int(found[1]) / self.counts
        if self.first is None:
            # The time before the first line is that of starting, mostly.
            self.first = [now, done]
        if now - self.told_at < self.period and done < self.updates:
            return
        self.told_at = now
        print(self.line(done, now), flush=True)

    def line(self, done: float, now: float) -> str:
        """Write the line.

        Args:
            done (float): Updates done in this stage.
            now (float): The time, on the clock of ``time.monotonic``.

        Returns:
            str: Such as ``'stage 2 of 3, densecl: 1,000 of 3,000 updates,
            about 12 min 03 s left in all'``.
        """
        text = f'{self.title}: {int(done):,} of {self.updates:,} updates'
        start, before = self.first or (now, done)
        left = self.updates - done + self.after
        if done > before and left:
            seconds = (now - start) / (done - before) * left
            text += f', about {words_for(seconds)} left in all'
        return text


def words_for(seconds: float) -> str:
    """Write a duration as people do.

    Args:
        seconds (float): The duration, in seconds.

    Returns:
        str: Such as ``'45 s'``, ``'11 min 24 s'`` or ``'2 h 05 min'``.
    """
    minutes, seconds = divmod(round(seconds), 60)
    if not minutes:
        return f'{seconds} s'
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes:02d} min' if hours else \
        f'{minutes} min {seconds:02d} s'


def _count(number: int, what: str) -> str:
    return f'{number:,} {what}{"s" * (number != 1)}'
