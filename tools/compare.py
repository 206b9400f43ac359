#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Run a whole comparison: trainings, evaluations, tables and a report.

    python tools/compare.py configs/compare/NAME.py --work-dir DIR
    python tools/compare.py configs/compare/NAME.py --work-dir DIR --test

The first line scores the development lists, the second, once and for all, the
test lists. Run again, it goes on where it stopped: docs/compare.md.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from mmengine.logging import MMLogger
from show_progress import tail_of, words_for
from step_runner import Runner, Step, make_environment

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.comparison import (Comparison, Job, Plan, Planner, allow_test,
                                   collect, plan_hash, read_comparison,
                                   summarise)
from mmmultissl.comparison.budget import budget_table
from mmmultissl.comparison.start import begin, finish, utc_now, write_plan
from mmmultissl.comparison.tables import (difference_lines, explanations,
                                          figure_lines, laid_out, test_notes,
                                          write_tables)
from mmmultissl.utils.command_line import SpacedDictAction
from mmmultissl.visualization.report.comparison import write_report

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
        description='Run a whole comparison: trainings, evaluations, tables '
        'and a report.')
    parser.add_argument('config', help='of configs/compare, or your own')
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='the folder for everything [work_dirs/<config name>]')
    lists = parser.add_mutually_exclusive_group()
    lists.add_argument(
        '--dev',
        action='store_true',
        help='score the development lists; this is what it does anyway')
    lists.add_argument(
        '--test',
        action='store_true',
        help='score the test lists, which is written down and done once')
    parser.add_argument(
        '--test-again',
        metavar='WHY',
        help='score the test lists by a plan that has changed since')
    parser.add_argument(
        '--jobs', type=int, default=1, help='how many run at a time [1]')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='show jobs and budget, and run nothing')
    parser.add_argument(
        '--redo',
        action='store_true',
        help='do jobs whose settings have changed anew; what they have left '
        'is removed')
    parser.add_argument(
        '--only-report',
        action='store_true',
        help='write tables and report from what is there')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpacedDictAction,
        help='settings of the comparison to override, such as '
        'total_updates=300 seeds=[0]')
    args = parser.parse_args(arguments)
    if args.test_again and not args.test:
        parser.error('--test-again needs --test')
    if args.jobs < 1:
        parser.error('--jobs is at least 1')
    if args.work_dir is None:
        name = Path(args.config.split('::')[-1]).stem
        args.work_dir = Path('work_dirs') / name
    return args


def make_steps(comparison: Comparison, jobs: Sequence[Job],
               files: Dict[str, Path]) -> List[Step]:
    """Make what the runner runs.

    Args:
        comparison (Comparison): The comparison.
        jobs (Sequence[Job]): Its jobs.
        files (dict[str, Path]): Job to the file of what it depends on.

    Returns:
        list[Step]: A step for each job.
    """
    return [
        Step(
            job.name,
            job.title,
            job.usual,
            job.command,
            job.needs,
            job.output, (files[job.name], ),
            job.beside,
            prepare=lambda job=job: begin(comparison, job),
            finish=lambda took, job=job: finish(comparison, job, took),
            after=job.after,
            spared=job.spared) for job in jobs
    ]


def show_plan(comparison: Comparison, plan: Plan) -> None:
    """Print the budget and the number of jobs.

    Args:
        comparison (Comparison): The comparison.
        plan (Plan): Its jobs.
    """
    print(f'Budget: every row costs {comparison.total_updates} updates per '
          'seed')
    print(laid_out(budget_table(comparison.rows, comparison.budgets)))
    trained = sum(comparison.budgets[row].own * len(comparison.seeds_of(row))
                  for row in comparison.rows)
    taken = sum(job.taken_updates for job in plan.jobs)
    print(f'{len(plan.jobs)} jobs, {trained - taken} updates of pretraining '
          f'in all{f" ({taken} more are shared)" if taken else ""}; '
          f'scored on the {comparison.mode} lists', flush=True)


def write_all(comparison: Comparison, plan: Plan, runner: Runner) -> str:
    """Write tables and report from what is done.

    Args:
        comparison (Comparison): The comparison.
        plan (Plan): Its jobs.
        runner (Runner): Knows which jobs are done.

    Returns:
        str: The tables as text.
    """
    done = [name for name in runner.steps if runner.is_done(name)]
    missing = {
        job.name: 'failed' if job.name in runner.failed else
        'needs one that failed' if job.name in runner.lost else 'not done'
        for job in plan.jobs if job.name not in done
    }
    figures = collect(comparison, plan, done)
    summaries = summarise(comparison, figures, done)
    write_tables(comparison, figures, summaries, missing)
    write_report(comparison, plan, summaries, done, missing)
    tables = [figure_lines(comparison, summaries),
              difference_lines(comparison, summaries)]
    return '\n\n'.join([
        *(laid_out(lines) for lines in tables if lines),
        *explanations(comparison), *test_notes(comparison)
    ])


def run(args: argparse.Namespace) -> int:
    """Run the comparison.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        int: The exit status.

    Raises:
        ValueError: If the comparison cannot be run as it is.
        FileNotFoundError: If a config is not there.
    """
    folder = args.work_dir
    comparison = read_comparison(args.config, folder,
                                 'test' if args.test else 'dev',
                                 args.cfg_options)
    plan = Planner(comparison, Path(os.path.relpath(TOOLS)),
                   os.path.relpath(sys.executable)).plan()
    show_plan(comparison, plan)
    if args.dry_run:
        for job in plan.jobs:
            after = f'  after {", ".join(job.needs)}' if job.needs else ''
            print(f'{job.name}{after}\n    {" ".join(job.command)}')
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / '.compare.lock', 'w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f'Another comparison is at work in {folder}, or jobs that one '
            'left behind when it was killed: wait for their end, or end '
            'them.') from None
    steps = make_steps(comparison, plan.jobs,
                       write_plan(comparison, plan.jobs))
    # Killed, it leaves its commands behind: they hold the lock.
    runner = Runner(
        steps,
        folder,
        args.jobs,
        make_environment(args.jobs), (lock.fileno(), ),
        go_on=True)
    changed = runner.changed()
    if changed and not (args.redo or args.only_report):
        raise ValueError(
            f'{len(changed)} jobs have other settings than when they were '
            f'run here ({", ".join(changed[:5])}'
            f'{", ..." * (len(changed) > 5)}; {folder}/plan): undo the '
            'change, give another --work-dir, or let them be done anew by '
            '--redo, which removes what they have left.')
    status = 0
    if not args.only_report:
        if args.test:
            allow_test(folder, plan_hash(comparison), utc_now(),
                       args.test_again)
        start = time.monotonic()
        status = runner.run()
        print(f'{runner.ran - len(runner.lost)} jobs ran in '
              f'{words_for(time.monotonic() - start)}')
    text = write_all(comparison, plan, runner)
    print(f'\n{text}\n\nTables: {comparison.out}/table.md, .csv, .json; the '
          'report, one file to open in a browser: '
          f'{comparison.out}/report.html')
    for name, code in runner.failed.items():
        log = runner.logs / f'{name}.log'
        print(f'\n{name} failed with exit status {code}; the end of {log}:\n'
              f'{tail_of(log)}')
    if runner.failed:
        others = sorted(runner.lost - set(runner.failed))
        print(f'\n{len(runner.failed)} jobs failed' +
              (f' and {len(others)} that need them were not run '
               f'({", ".join(others[:5])}{", ..." * (len(others) > 5)})'
               if others else '') +
              '; the same command does these alone again.')
    return status


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the command; see the module's text.

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
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    # The end of the terminal or of the calling script is an interrupt too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main())
