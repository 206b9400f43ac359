# Copyright (c) mmmultissl contributors. All rights reserved.
"""The ranks of a staged run, which start the stages' processes together."""
import os
import socket
import subprocess
from contextlib import contextmanager
from typing import Callable, Iterator, Optional, Sequence

from mmengine.dist import (broadcast_object_list, is_distributed,
                           is_main_process)

from ..cpu_ranks import start_gloo


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
        except Exception as error:  # or the others would wait for ever
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
        int | None: The port, or None without a launcher.
    """
    if not is_distributed():
        return None
    with socket.socket() as probe:
        probe.bind(('', 0))
        return probe.getsockname()[1]
