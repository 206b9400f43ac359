# Copyright (c) mmmultissl contributors. All rights reserved.
"""Time of a training step and its peak memory, beside the peers'.

    python tools/benchmarks/step_time.py CONFIG --batch-size 32 --size 224

All contenders take turns in one process, so a busy moment of the machine hits
each of them; read the ratios. Memory is the peak of a process of its own.
On a CPU all keep freed memory while time is measured, as PretrainLoop does,
and none does while memory is.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config

import mmmultissl  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
import contenders  # noqa: E402

from mmmultissl.utils.command_line import SpacedDictAction  # noqa: E402
from mmmultissl.utils.host_memory import keep_freed_memory  # noqa: E402


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
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--contenders', nargs='+',
                        default=list(contenders.NAMES))
    parser.add_argument('--threads', type=int, help="torch's threads")
    parser.add_argument('--bf16', action='store_true', help='autocast')
    parser.add_argument(
        '--give-memory-back',
        action='store_true',
        help="measure time with the C library's own habit")
    parser.add_argument('--no-time', action='store_true')
    parser.add_argument('--no-memory', action='store_true')
    parser.add_argument('--out', help='file for the figures, as json')
    parser.add_argument('--peak-of', help=argparse.SUPPRESS)
    parser.add_argument('--cfg-options', nargs='+', action=SpacedDictAction)
    return parser.parse_args()


def synchronize() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(function) -> float:
    """Run a function and give the seconds it took.

    Args:
        function (Callable): The function.

    Returns:
        float: Seconds, the device's work included.
    """
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def make_views(args, device):
    """Two seeded views of noise, on the device.

    Args:
        args (argparse.Namespace): Gives batch size and pixels.
        device (torch.device): Where they lie.

    Returns:
        list[Tensor]: Two tensors ``(N, 3, H, W)``.
    """
    torch.manual_seed(0)
    shape = (2, args.batch_size, 3, args.size, args.size)
    return list(torch.randn(shape).to(device))


def precision_of(args, device):
    """What makes the precision that the arguments ask for.

    Args:
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.

    Returns:
        Callable: Gives a context: autocast, switched on or off.
    """
    return lambda: torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=args.bf16)


def make_contenders(cfg, args, device) -> dict:
    """Build the contenders that this config and machine allow.

    Args:
        cfg (Config): The config.
        args (argparse.Namespace): The arguments; those that cannot be built
            are removed from them, and named.
        device (torch.device): The device.

    Returns:
        dict[str, object]: Name -> contender.
    """
    built = {}
    for name in args.contenders:
        try:
            built[name] = contenders.make(name, cfg, device,
                                          precision_of(args, device))
        except LookupError as error:
            print(f'left out: {name}, {error}', file=sys.stderr)
    args.contenders = list(built)
    return built


def time_steps(cfg, args, device) -> dict:
    """Time all contenders in turns, and the bare arithmetic.

    Args:
        cfg (Config): The config.
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.

    Returns:
        dict[str, float]: Name -> median seconds.
    """
    if device.type == 'cpu' and not args.give_memory_back:
        keep_freed_memory()
    views = make_views(args, device)
    runs = {}
    for layout in ('bare', 'bare channels-last'):
        parts = contenders.BareArithmetic(
            cfg, device, precision_of(args, device),
            layout != 'bare').parts(views)
        runs.update({f'{layout}: {name}': run for name, run in parts.items()})
    for name, contender in make_contenders(cfg, args, device).items():
        runs[name] = lambda step=contender.step: step(views)
    seconds = {name: [] for name in runs}
    for turn in range(args.rounds + 1):
        start = time.perf_counter()
        for name, run in runs.items():
            took = timed(run)
            if turn:  # the first round warms up
                seconds[name].append(took)
        left = (time.perf_counter() - start) * (args.rounds - turn)
        print(f'round {turn}/{args.rounds}, about {left:.0f} s left',
              file=sys.stderr, flush=True)
    medians = {k: statistics.median(v) for k, v in seconds.items()}
    for layout in ('bare', 'bare channels-last'):
        medians[layout] = statistics.median(
            sum(parts) for parts in zip(
                *(v for k, v in seconds.items()
                  if k.startswith(f'{layout}: '))))
    return medians


def peak_of(name: str, cfg, args, device) -> float:
    """Run three steps of one contender and give the peak memory.

    Args:
        name (str): The contender, or 'nothing' for what the libraries take.
        cfg (Config): The config.
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.

    Returns:
        float: MiB; allocator's peak on a GPU, resident set otherwise.
    """
    views = make_views(args, device)
    if name != 'nothing':
        contender = contenders.make(name, cfg, device,
                                    precision_of(args, device))
        for _ in range(3):
            contender.step(views)
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    # Not getrusage: its peak starts from that of the process that forked.
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 2**10


def peaks(args) -> dict:
    """Measure every contender's peak in a process of its own.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        dict[str, float]: Name -> MiB.
    """
    found = {}
    for name in ['nothing', *args.contenders]:
        print(f'memory of {name}', file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, *sys.argv, '--peak-of', name],
            check=True,
            stdout=subprocess.PIPE,
            text=True)
        found[name] = float(done.stdout.split()[-1])
    return found


def _bare_of(name: str, args) -> str:
    last = 'channels-last' in name or (
        name in contenders.OURS and args.channels_last and 'NCHW' not in name)
    return 'bare channels-last' if last else 'bare'


def report(times: dict, memory: dict, args) -> None:
    """Print the tables.

    Args:
        times (dict): Name -> seconds.
        memory (dict): Name -> MiB.
        args (argparse.Namespace): The arguments.
    """
    if times:
        dense = times.get('mmpretrain DenseCL')
        both = dense and dense + times.get('mmpretrain MoCo', float('nan'))
        print(f'\n{"":36}{"s / step":>10}{"/ bare":>9}{"/ mmp. DenseCL":>16}'
              f'{"/ mmp. MoCo + DenseCL":>23}')
        for name, seconds in times.items():
            row = f'{name:36}{seconds:10.4f}'
            row += f'{seconds / times[_bare_of(name, args)]:9.3f}'
            if dense:
                row += f'{seconds / dense:16.3f}{seconds / both:23.3f}'
            print(row)
    if memory:
        dense = memory.get('mmpretrain DenseCL')
        base = memory['nothing']
        print(f'\n{"":36}{"peak MiB":>10}{"/ mmp. DenseCL":>16}'
              f'{"the same without what importing takes":>40}')
        for name, peak in memory.items():
            row = f'{name:36}{peak:10.0f}'
            if dense:
                row += f'{peak / dense:16.3f}'
                row += f'{(peak - base) / (dense - base):40.3f}'
            print(row)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    args.channels_last = cfg.model.get('channels_last', False)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    torch.backends.cudnn.benchmark = True
    if args.peak_of:
        print(peak_of(args.peak_of, cfg, args, device))
        return
    if args.no_time:
        make_contenders(cfg, args, device)
    times = {} if args.no_time else time_steps(cfg, args, device)
    memory = {} if args.no_memory else peaks(args)
    setting = dict(
        config=args.config, batch_size=args.batch_size, size=args.size,
        rounds=args.rounds, device=str(device), bf16=args.bf16,
        keeps_freed_memory=not args.give_memory_back,
        threads=torch.get_num_threads(), torch=torch.__version__)
    print(setting)
    report(times, memory, args)
    if args.out:
        Path(args.out).write_text(
            json.dumps(
                dict(setting=setting, seconds=times, peak_mib=memory),
                indent=2) + '\n')


if __name__ == '__main__':
    main()
