# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the user of an evaluation sees: choices, progress, json."""
import json
import os
import platform
import sys
import time
from typing import Dict, Optional, TextIO

from mmengine.dist import is_main_process


class Progress:
    """One line with the part done and the time left.

    On a terminal the line is rewritten; in a file it is repeated at most
    every ten seconds. Only the main process writes.

    Args:
        name (str): What is being done.
        total (float): Amount of work, in any unit.
        file (TextIO, optional): Where to write. Defaults to None, stdout.
    """
    _WIDTH = 30

    def __init__(self,
                 name: str,
                 total: float,
                 file: Optional[TextIO] = None) -> None:
        self.name, self.total, self.done = name, total, 0.
        self.file = sys.stdout if file is None else file
        self.start = time.perf_counter()
        self.period = 0.2 if self.file.isatty() else 10.
        self.last = self.start
        self.finished = False

    def __call__(self, done: float) -> None:
        """Add work that was done.

        Args:
            done (float): Amount since the last call.
        """
        self.done += done
        now = time.perf_counter()
        # Sums of floats may end a hair below the total.
        part = min(1., (self.done + 1e-9 * self.total) / self.total)
        finished = part == 1.
        if self.finished or not is_main_process() or (
                not finished and now - self.last < self.period):
            return
        self.last, self.finished = now, finished
        spent = now - self.start
        bar = '#' * int(self._WIDTH * part)
        words = (f'took {_duration(spent)}' if finished else
                 f'{_duration(spent / part - spent)} left')
        line = f'{self.name} [{bar:<{self._WIDTH}}] {part:4.0%}, {words}'
        if self.file.isatty():
            self.file.write(f'\r{line:<78}' + ('\n' if finished else ''))
        else:
            self.file.write(line + '\n')
        self.file.flush()


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f'{seconds:.1f} s'
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes} min {seconds:02d} s' if minutes else f'{seconds} s'


def in_words(settings: dict) -> str:
    """Write the settings of a config's dict on one line.

    Args:
        settings (dict): Such as a backbone's config.

    Returns:
        str: Such as ``'type=ResNet, depth=18'``.
    """
    return ', '.join(f'{name}={value}' for name, value in settings.items())


def format_choices(choices: Dict[str, str], name: str = 'VOC07') -> str:
    """Lay out the choices of a run, one a line.

    Args:
        choices (dict[str, str]): What is chosen, and how.
        name (str): Of the evaluation. Defaults to ``'VOC07'``.

    Returns:
        str: Lines to print before the run.
    """
    width = max(len(choice) for choice in choices)
    lines = [f'{name}: every choice of this run']
    lines += [f'  {choice:<{width}}  {how}' for choice, how in choices.items()]
    return '\n'.join(lines)


def versions() -> Dict[str, str]:
    """Versions of what the result depends on.

    Returns:
        dict[str, str]: Name to version.
    """
    import mmengine
    import mmpretrain
    import numpy
    import torch

    import mmmultissl
    found = dict(
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=numpy.__version__,
        mmengine=mmengine.__version__,
        mmpretrain=mmpretrain.__version__,
        mmmultissl=mmmultissl.__version__)
    try:
        import sklearn
        found['sklearn'] = sklearn.__version__
    except ImportError:
        found['sklearn'] = 'not installed'
    return found


def write_json(path: str, content: dict) -> None:
    """Write a result, complete or not at all.

    Args:
        path (str): Where to write; folders are made.
        content (dict): Plain values.
    """
    # Here, because the engine's loops import this package.
    from mmmultissl.engine.atomic_save import write_text_atomically
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    write_text_atomically(json.dumps(content, indent=2) + '\n', path)
