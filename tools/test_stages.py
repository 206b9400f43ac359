#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Judge what each stage has learned on the trunks of the stages after it.

    python tools/test_stages.py work_dirs/RUN
    python tools/test_stages.py work_dirs/RUN --cfg-options \
        test_dataloader.dataset.split=val

RUN is the work directory of a config with ``stages`` that tools/train.py has
finished. Every task is tested with the heads that it was last trained with.
See docs/incremental.md.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import fcntl
import json
import signal
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from mmengine.logging import MMLogger
from step_runner import Runner, Step, make_environment

from mmmultissl.comparison.tables import laid_out
from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.evaluation.old_heads import (HeadTest, HeldOut, figures_of,
                                             head_tests, read_stages,
                                             write_mixed)

TOOLS = Path(__file__).resolve().parent


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='Judge the heads of all stages on held-out data.')
    parser.add_argument(
        'run', type=Path, help='the work directory of a run with stages')
    parser.add_argument(
        '--last',
        action='store_true',
        help='test on the last trunk alone, not on that of every stage')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='the folder for logs and figures; RUN/test_stages by default')
    parser.add_argument('--out', type=Path, help='a json for the figures')
    parser.add_argument(
        '--jobs', type=int, default=1, help='how many run at a time [1]')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        help="settings of the stages' configs to override, as key=value, "
        'such as test_dataloader.dataset.split=val')
    args = parser.parse_args(arguments)
    if args.work_dir is None:
        args.work_dir = args.run / 'test_stages'
    if args.jobs < 1:
        parser.error('--jobs is at least 1')
    return args


def name_of(test: HeadTest) -> str:
    """Name a test.

    Args:
        test (HeadTest): Which.

    Returns:
        str: Such as ``'1_spatial.after.3_gap'``.
    """
    return f'{test.heads.folder.name}.after.{test.trunk.folder.name}'


def make_step(test: HeadTest, work_dir: Path,
              cfg_options: Sequence[str]) -> Step:
    """Make the command of a test.

    Args:
        test (HeadTest): Which.
        work_dir (Path): The folder for what it writes.
        cfg_options (sequence[str]): Settings to override.

    Returns:
        Step: The command.
    """
    folder = work_dir / name_of(test)
    out, mixed = folder / 'figures.json', folder / 'mixed.pth'
    config = test.heads.folder / 'config.py'
    options = ('--cfg-options', *cfg_options) if cfg_options else ()
    return Step(
        name_of(test),
        f'{", ".join(test.tasks)} after {test.trunk.record.name}',
        usual=60.,
        command=(sys.executable, str(TOOLS / 'test.py'), str(config),
                 str(mixed), '--work-dir', str(folder), '--out', str(out),
                 '--out-item', 'metrics', *options),
        output=out,
        # They hold the checksums of the checkpoints.
        files=(config, test.heads.folder / 'stage.json',
               test.trunk.folder / 'stage.json'),
        prepare=lambda: write_mixed(test, mixed),
        finish=lambda took: mixed.unlink())


def collect(tests: Sequence[HeadTest], work_dir: Path) -> HeldOut:
    """Read the figures of all tests.

    Args:
        tests (sequence[HeadTest]): The tests, done.
        work_dir (Path): Where they are.

    Returns:
        HeldOut: The figures.
    """
    held_out = HeldOut()
    for test in tests:
        file = work_dir / name_of(test) / 'figures.json'
        held_out.add(test, figures_of(test, json.loads(file.read_text())))
    return held_out


def write_figures(held_out: HeldOut, path: Path) -> None:
    """Write the figures as json, those on the last trunk at its top.

    Args:
        held_out (HeldOut): The figures.
        path (Path): The file.
    """
    content = dict(
        held_out.last, after=held_out.after, change=held_out.change())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(json.dumps(content, indent=2) + '\n', path)


def run(args: argparse.Namespace) -> int:
    """Run all tests, and show what they have found.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        int: The exit status.

    Raises:
        ValueError: If another one is at work in the folder.
    """
    tests: List[HeadTest] = head_tests(read_stages(args.run), args.last)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    lock = open(args.work_dir / '.lock', 'w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f'Another tools/test_stages.py is at work in '
                         f'{args.work_dir}: wait for its end.') from None
    status = Runner(
        [make_step(test, args.work_dir, args.cfg_options) for test in tests],
        args.work_dir, args.jobs, make_environment(args.jobs),
        (lock.fileno(), )).run()
    if status:
        return status
    held_out = collect(tests, args.work_dir)
    print(laid_out(held_out.lines()))
    if args.out:
        write_figures(held_out, args.out)
    return 0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        int: The exit status.
    """
    args = parse_args(arguments)
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        return run(args)
    except KeyboardInterrupt:
        print('\nInterrupted; the same command goes on where it stopped.')
        return 130
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main())
