# Copyright (c) mmmultissl contributors. All rights reserved.
"""Share of the training time that MonitorHook takes, at its own intervals.

    python tools/benchmarks/monitor.py CONFIG --batch-size 32 --size 64

All that the hook does happens in calls of its own during and after a step, so
these are timed, in turns with plain steps of the same model in one process:
read the shares. A share is the time of one measurement, with all steps that it
looks at, over the time of the steps in its interval.
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

sys.path.insert(0, str(Path(__file__).parent))
import contenders  # noqa: E402
from step_time import make_views, precision_of, synchronize  # noqa: E402

from mmmultissl.engine.hooks import MonitorHook  # noqa: E402
from mmmultissl.engine.hooks.monitor.step import StepObserver  # noqa: E402
from mmmultissl.utils.command_line import SpacedDictAction  # noqa: E402
from mmmultissl.utils.host_memory import keep_freed_memory  # noqa: E402

_NEVER = 1 << 60


def parse_args() -> argparse.Namespace:
    """Parse the arguments.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a pretraining config')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--probe-size', type=int,
                        help="pixels of the labelled images; --size's")
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, help="torch's threads")
    parser.add_argument('--bf16', action='store_true', help='autocast')
    parser.add_argument('--out', help='file for the figures, as json')
    parser.add_argument('--cfg-options', nargs='+', action=SpacedDictAction)
    return parser.parse_args()


class Noise(Dataset):
    """Labelled images of noise.

    Args:
        count (int): Their number.
        size (int): Their sides in pixels.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        """Make an image.

        Args:
            index (int): Its number.

        Returns:
            dict: ``inputs`` and ``data_samples``.
        """
        images = torch.Generator().manual_seed(index)
        shape = (3, self.size, self.size)
        return dict(
            inputs=torch.randint(
                256, shape, generator=images, dtype=torch.uint8),
            data_samples=DataSample().set_gt_label(index % 10))


class Stopwatch:
    """Adds up the time of some calls."""

    def __init__(self) -> None:
        self.seconds = 0.

    def timed(self, function):
        """Make a function that is timed.

        Args:
            function (Callable): The function.

        Returns:
            Callable: The same, timed.
        """

        def call(*args):
            synchronize()
            start = time.perf_counter()
            result = function(*args)
            synchronize()
            self.seconds += time.perf_counter() - start
            return result

        return call

    def take(self) -> float:
        """Get the seconds and start anew."""
        seconds, self.seconds = self.seconds, 0.
        return seconds


class Watched:
    """A model, and the monitor with all its calls timed.

    Args:
        contender (contenders.Model): Makes steps.
        args (argparse.Namespace): Gives sizes.
    """

    def __init__(self, contender, args: argparse.Namespace) -> None:
        self.contender, self.model = contender, contender.model
        size = args.probe_size or args.size
        hook = MonitorHook(
            knn=dict(dataset=Noise(1000, size), num_workers=0))
        runner = SimpleNamespace(
            train_dataloader=SimpleNamespace(batch_size=args.batch_size),
            optim_wrapper=SimpleNamespace(),
            work_dir='')
        self.watch = Stopwatch()
        StepObserver._see_views = self.watch.timed(StepObserver._see_views)
        StepObserver._see_contrast = self.watch.timed(
            StepObserver._see_contrast)
        self.observer = StepObserver(self.model)
        self.measurements = hook.measurements
        for measurement in self.measurements.values():
            if hasattr(measurement, '_look'):
                measurement._look = self.watch.timed(measurement._look)
            measurement.before_train(runner, self.model)

    def once(self, name: str, views) -> float:
        """Make one measurement as it is made in training.

        Args:
            name (str): Its name.
            views (list[Tensor]): The batch.

        Returns:
            float: Seconds that it takes, the looks at all steps included.
        """
        measurement = self.measurements[name]
        self.watch.take()
        measurement.before_step(self.model, measurement.interval, _NEVER)
        if measurement.steps_seen:
            self.observer.start()
        self.contender.step(views)
        step = self.observer.take()
        looking = self.watch.take() * max(measurement.steps_seen, 1)
        for _ in range(measurement.steps_seen):
            self.watch.timed(measurement.see)(step)
        self.watch.timed(measurement.measure)(self.model,
                                              measurement.interval)
        return looking + self.watch.take()


def main() -> None:
    """Measure and print."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if device.type == 'cpu':
        keep_freed_memory()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        watched = Watched(
            contenders.make('ours', cfg, device, precision_of(args, device)),
            args)
        table = measure(watched, make_views(args, device), args.rounds)
    setting = dict(
        config=args.config, batch_size=args.batch_size, size=args.size,
        probe_size=args.probe_size or args.size, rounds=args.rounds,
        device=str(device), bf16=args.bf16,
        threads=torch.get_num_threads(), torch=torch.__version__)
    print(setting)
    report(table)
    if args.out:
        Path(args.out).write_text(
            json.dumps(dict(setting=setting, table=table), indent=2) + '\n')


def measure(watched: Watched, views, rounds: int) -> dict:
    """Let plain steps and measurements take turns.

    Args:
        watched (Watched): Model and monitor.
        views (list[Tensor]): The batch.
        rounds (int): How often each has its turn.

    Returns:
        dict[str, dict]: Name -> ``seconds``, ``interval``, ``share``; the
        step itself has seconds only.
    """
    plain, found = [], {name: [] for name in watched.measurements}
    for turn in range(rounds + 1):
        start = time.perf_counter()
        clock = Stopwatch()
        clock.timed(watched.contender.step)(views)
        if turn:  # the first round warms up
            plain.append(clock.seconds)
        for name in found:
            seconds = watched.once(name, views)
            if turn:
                found[name].append(seconds)
        left = (time.perf_counter() - start) * (rounds - turn)
        print(f'round {turn}/{rounds}, about {left:.0f} s left',
              file=sys.stderr, flush=True)
    table = dict(step=dict(seconds=statistics.median(plain)))
    for name, seconds in found.items():
        interval = watched.measurements[name].interval
        table[name] = dict(
            seconds=statistics.median(seconds),
            interval=interval,
            # Of the same round, so that a busy moment hits both.
            share=statistics.median(
                s / p for s, p in zip(seconds, plain)) / interval)
    return table


def report(table: dict) -> None:
    """Print the table.

    Args:
        table (dict): What :func:`measure` gave.
    """
    print(f'\na step takes {table["step"]["seconds"]:.4f} s\n')
    print(f'{"":12}{"s, once":>12}{"every":>8}{"% of the time":>16}')
    total = 0.
    for name, row in table.items():
        if 'share' in row:
            total += row['share']
            print(f'{name:12}{row["seconds"]:12.4f}{row["interval"]:8}'
                  f'{100 * row["share"]:16.3f}')
    print(f'{"together":32}{100 * total:16.3f}')


if __name__ == '__main__':
    main()
