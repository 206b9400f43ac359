# Copyright (c) mmmultissl contributors. All rights reserved.
"""The processes of a staged run: one per stage, on every rank.

Each rank of the launcher keeps a small process that starts the stages' ones
and takes no part in training. A stage's processes form a group of their own,
on another port, so that nothing is left over from stage to stage.
"""
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from mmengine.dist import (broadcast_object_list, get_world_size,
                           is_main_process)

from ..cpu_ranks import start_gloo

_FORWARDED = ('SIGTERM', 'SIGINT', 'SIGHUP')


def enter_group(launcher: str) -> None:
    """Let the ranks' own processes know each other, over gloo.

    Args:
        launcher (str): ``none``, ``pytorch`` or ``slurm``.

    Raises:
        ValueError: For another launcher.
    """
    if launcher == 'none':
        return
    if launcher == 'slurm':
        _take_slurms_variables()
    elif launcher != 'pytorch':
        raise ValueError(
            f'A config with stages cannot be run by the launcher {launcher}: '
            'use tools/dist_train.sh or tools/slurm_train.sh.')
    start_gloo('pytorch', {})


def _take_slurms_variables() -> None:
    """Describe a Slurm step as torchrun would."""
    names = dict(RANK='SLURM_PROCID', WORLD_SIZE='SLURM_NTASKS',
                 LOCAL_RANK='SLURM_LOCALID')
    for ours, theirs in names.items():
        os.environ[ours] = os.environ[theirs]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        nodes = subprocess.run(
            ['scontrol', 'show', 'hostname', os.environ['SLURM_NODELIST']],
            check=True, capture_output=True, text=True).stdout.split()
        os.environ['MASTER_ADDR'] = nodes[0]


def on_main(function: Callable, *args):
    """Call something on the first rank and give all ranks its answer.

    Args:
        function (Callable): What is called.
        *args: Its arguments.

    Returns:
        Any: What it returned.

    Raises:
        Exception: What it raised, on every rank.
    """
    answer: list = [None, None]
    if is_main_process():
        try:
            answer[0] = function(*args)
        except (ValueError, OSError, RuntimeError) as error:
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


@contextmanager
def locked(folder: str) -> Iterator[Sequence[int]]:
    """Keep other staged runs out of a folder.

    Args:
        folder (str): The folder, which is made.

    Yields:
        tuple[int]: The descriptor of the lock, for processes that must hold
        it too: those that a killed run leaves behind still train in there.

    Raises:
        RuntimeError: If another run has it.
    """
    def take() -> None:
        # Not on Windows, where the rest of the package works.
        import fcntl
        nonlocal lock
        os.makedirs(folder, exist_ok=True)
        lock = open(os.path.join(folder, '.stages.lock'), 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f'Another run is at work in {folder}, or the process of a '
                'stage that one left behind when it was killed: wait for its '
                'end, end it, or give another --work-dir.') from None

    lock = None
    try:
        on_main(take)
        yield (lock.fileno(), ) if lock else ()
    finally:
        if lock is not None:
            lock.close()


def free_port() -> Optional[int]:
    """Find a port for a stage's group.

    Returns:
        int | None: The port, or None where there is one process only.
    """
    if get_world_size() == 1:
        return None
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]


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
