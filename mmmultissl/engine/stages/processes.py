# Copyright (c) mmmultissl contributors. All rights reserved.
"""The processes of a staged run: one per stage, on every rank.

Each rank of the launcher keeps a small process that starts the stages' ones
and takes no part in training. A stage's processes form a group of their own,
on another port, so that nothing is left over from stage to stage.
"""
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

_FORWARDED = ('SIGTERM', 'SIGINT', 'SIGHUP')


class StageProcesses:
    """Runs the training tool on one config after the other.

    Args:
        command (Sequence[str]): The training tool, such as ``(python,
            'tools/train.py')``.
        options (Sequence[str]): Flags for every stage. Defaults to none.
        launcher (str): Who started this process. Defaults to ``'none'``.
    """

    def __init__(self, command: Sequence[str], options: Sequence[str] = (),
                 launcher: str = 'none') -> None:
        self.command = list(command)
        self.options = list(options)
        self.launcher = launcher

    def __call__(self, config: str, work_dir: str, resume: bool,
                 port: Optional[int], keep: Sequence[int],
                 read: Callable[[str], None]) -> int:
        """Train one stage and wait for its end.

        SIGTERM, SIGINT and SIGHUP are passed on, and end this process too
        when the stage's has ended.

        Args:
            config (str): The stage's config.
            work_dir (str): Its folder.
            resume (bool): Whether to go on with what is in the folder.
            port (int | None): Port of the stage's group.
            keep (Sequence[int]): Descriptors that it holds too.
            read (Callable): Gets each line of its output, which goes to
                stdout as well.

        Returns:
            int: Its exit status.
        """
        words = [*self.command, config, '--work-dir', work_dir, *self.options]
        words += ['--resume'] * resume
        if self.launcher != 'none':
            words += ['--launcher', 'pytorch']
        with _signals_passed_on() as (held, received):
            process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                text=True,
                errors='replace',
                env=self._environment(port),
                pass_fds=keep,
                # A terminal's Ctrl-C reaches it through us, once.
                start_new_session=True)
            held.append(process)
            for number in received:  # while it was being started
                process.send_signal(number)
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                read(line)
            status = process.wait()
        if received:
            raise SystemExit(128 + received[0])
        return status

    @staticmethod
    def _environment(port: Optional[int]) -> Dict[str, str]:
        made = dict(os.environ, PYTHONUNBUFFERED='1')
        if port is not None:
            # torchrun's own store is taken by the processes that start
            # stages; a stage's group makes one of its own.
            made.update(MASTER_PORT=str(port),
                        TORCHELASTIC_USE_AGENT_STORE='False')
        return made


@contextmanager
def _signals_passed_on() -> Iterator[Tuple[list, List[int]]]:
    """Pass signals on to the process that is put into the first list."""
    held: List[subprocess.Popen] = []
    received: List[int] = []

    def forward(number: int, _frame) -> None:
        received.append(number)
        for process in held:
            if process.poll() is None:
                process.send_signal(number)

    numbers = [getattr(signal, name) for name in _FORWARDED]
    before = {each: signal.signal(each, forward) for each in numbers}
    try:
        yield held, received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
