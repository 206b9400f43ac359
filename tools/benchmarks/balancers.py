# Copyright (c) mmmultissl contributors. All rights reserved.
"""What balancers cost: time of a training step and its peak memory.

    python tools/benchmarks/balancers.py --tasks 2 4 8 --batch-size 8 --size 64

T tasks (MoCo v2, each with a neck and a queue of its own) read one view of a
ResNet-50, as in the shipped configs: the trunk is the least that a step can
have, so balancers cost their most. All take turns on one model in one
process, so a busy moment of the machine hits each of them; a ratio is the
median over rounds of the ratio to fixed weights in the same round, and "fixed
weights again" tells how far to trust it. "inside" is the time spent in the
balancer and in the fork, by the clock, as a share of a step with fixed
weights; it holds on a busy machine too (CPU only).

"T backward passes" is what the usual implementations of PCGrad do: one
backward pass through the trunk for each task, and a matrix of all gradients
on the trunk's parameters. Memory is the peak of a process of its own.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List

import torch
from mmengine.logging import MMLogger
from torch import Tensor

import mmmultissl  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
from step_time import timed  # noqa: E402

from mmmultissl.models import MultiSSL  # noqa: E402
from mmmultissl.models.balancers.pcgrad import pcgrad_weights  # noqa: E402
from mmmultissl.models.selfsup import gradient_fork  # noqa: E402
from mmmultissl.models.tasks import MoCoV2Task  # noqa: E402
from mmmultissl.registry import MODELS  # noqa: E402
from mmmultissl.utils.host_memory import keep_freed_memory  # noqa: E402

BALANCERS = {
    'fixed weights': dict(type='FixedWeights'),
    'fixed weights again': dict(type='FixedWeights'),
    'uncertainty': dict(type='UncertaintyWeights'),
    'dynamic weight average': dict(
        type='DynamicWeightAverage', interval=2, begin_iter=0),
    'random loss weights': dict(type='RandomLossWeights'),
    'geometric mean': dict(type='GeometricMean'),
    'dynamic task prioritisation': dict(type='DynamicTaskPrioritisation'),
    'gradient sum': dict(type='GradientSum'),
    'PCGrad': dict(type='PCGrad'),
    'MGDA': dict(type='MGDA'),
    'CAGrad': dict(type='CAGrad'),
    'GradNormScale': dict(type='GradNormScale'),
    'GradVac': dict(type='GradVac'),
    'IMTL-G': dict(type='IMTLG'),
    'GradNorm': dict(type='GradNorm', initial_iters=1, begin_iter=0),
}
USUAL = 'T backward passes'


@MODELS.register_module()
class ScoredMoCo(MoCoV2Task):
    """MoCo v2 with the accuracy that task prioritisation reads."""

    def loss(self, views, data_samples=None) -> Dict[str, Tensor]:
        """Compute the loss.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``, always a half.
        """
        losses = super().loss(views, data_samples)
        return dict(losses, accuracy=torch.full_like(losses['loss'], 0.5))


class Steps:
    """Training steps of one model under changing balancers.

    Args:
        tasks (int): Number of tasks.
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.
    """

    def __init__(self, tasks: int, args: argparse.Namespace,
                 device: torch.device) -> None:
        torch.manual_seed(0)
        wide = args.depth >= 50
        task = dict(
            type='mmmultissl.ScoredMoCo',
            neck=dict(
                type='mmpretrain.MoCoV2Neck',
                in_channels=2048 if wide else 512,
                hid_channels=2048 if wide else 512,
                out_channels=128,
                with_avg_pool=True),
            queue_len=args.queue_len)
        self.model = MultiSSL(
            dict(type='mmpretrain.ResNet', depth=args.depth),
            {f't{i}': task for i in range(tasks)},
            channels_last=True).to(device).train()
        self.bf16, self.device = args.bf16, device
        shape = (2, args.batch_size, 3, args.size, args.size)
        self.views = list(torch.randn(shape).to(device))
        self.trunk = list(self.model.backbone.parameters())
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9)
        self.balancers = {}
        for name, cfg in BALANCERS.items():
            balancer = MODELS.build(
                dict(cfg, type=f'mmmultissl.{cfg["type"]}'))
            balancer.set_tasks(list(self.model.tasks))
            balancer.set_queues([t.queue for t in self.model.tasks.values()])
            self.balancers[name] = balancer.to(device).train()
        for p in self.balancers['uncertainty'].parameters():
            self.optimizer.add_param_group(dict(params=[p]))

    def of(self, name: str) -> Callable[[], None]:
        """Get a contender's step.

        Args:
            name (str): Its name.

        Returns:
            Callable: Makes one step.
        """
        if name == USUAL:
            return self._usual_step

        def step() -> None:
            self.model.balancer = self.balancers[name]
            losses = self._losses()
            sum(v for k, v in losses.items() if 'loss' in k).backward()
            self._finish()

        return step

    def _losses(self) -> Dict[str, Tensor]:
        with torch.autocast(
                self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.model.loss(self.views)

    def _finish(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _usual_step(self) -> None:
        self.model.balancer = self.balancers['fixed weights']
        losses = self._losses()
        rows = []
        for number, (name, task) in enumerate(self.model.tasks.items()):
            own = [p for p in task.parameters() if p.requires_grad]
            found = torch.autograd.grad(
                losses[f'{name}.loss'], self.trunk + own,
                retain_graph=number + 1 < len(self.model.tasks))
            rows.append(torch.cat(
                [g.flatten() for g in found[:len(self.trunk)]]))
            for p, g in zip(own, found[len(self.trunk):]):
                p.grad = g
        rows = torch.stack(rows)
        balancer = self.balancers['PCGrad']
        weights = pcgrad_weights(rows @ rows.t(),
                                 balancer.others(rows.device))
        parts = (weights.to(rows) @ rows).split(
            [p.numel() for p in self.trunk])
        for p, part in zip(self.trunk, parts):
            p.grad = part.view_as(p)
        self._finish()


class Inside:
    """A clock around balancers and the fork's backward pass."""

    def __init__(self) -> None:
        self.seconds = 0.

    def around(self, function: Callable) -> Callable:
        """Let the clock run while a function does.

        Args:
            function (Callable): The function.

        Returns:
            Callable: The same, timed.
        """

        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return run

    def attach(self, steps: Steps) -> None:
        """Time what there is to be timed.

        Args:
            steps (Steps): The contenders.
        """
        for balancer in steps.balancers.values():
            balancer.forward = self.around(balancer.forward)
        gradient_fork._Fork.backward = staticmethod(
            self.around(gradient_fork._Fork.backward))

    def take(self) -> float:
        """Get the seconds since the last call.

        Returns:
            float: Seconds.
        """
        seconds, self.seconds = self.seconds, 0.
        return seconds


def parse_args() -> argparse.Namespace:
    """Parse the arguments.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, nargs='+', default=[2, 4, 8])
    parser.add_argument('--balancers', nargs='+', choices=[
        *BALANCERS, USUAL], default=[*BALANCERS, USUAL])
    parser.add_argument('--depth', type=int, default=50, help='ResNet')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--queue-len', type=int, default=4096)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--threads', type=int, help="torch's threads")
    parser.add_argument('--bf16', action='store_true', help='autocast')
    parser.add_argument(
        '--memory', nargs='*', default=[], choices=[*BALANCERS, USUAL],
        help='contenders whose peak memory is measured')
    parser.add_argument('--out', help='file for the figures, as json')
    parser.add_argument('--peak-of', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if 'fixed weights' not in args.balancers:
        args.balancers.insert(0, 'fixed weights')
    args.memory = [name for name in args.memory if name in args.balancers]
    return args


def measure(tasks: int, args: argparse.Namespace,
            device: torch.device) -> Dict[str, dict]:
    """Time all contenders in turns.

    Args:
        tasks (int): Number of tasks.
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.

    Returns:
        dict[str, dict]: Name -> ``seconds``, ``ratio`` and, on a CPU,
        ``inside``.
    """
    steps, clock = Steps(tasks, args, device), Inside()
    if device.type == 'cpu':
        clock.attach(steps)
    # Two rounds warm up: loss ratios are first read in the second one.
    order: List[str] = list(args.balancers)
    seconds = {name: [] for name in order}
    inside = {name: [] for name in order}
    for turn in range(-2, args.rounds):
        start = time.perf_counter()
        for name in order:
            clock.take()
            took = timed(steps.of(name))
            if turn >= 0:
                seconds[name].append(took)
                inside[name].append(clock.take())
        # Nobody always follows the same one.
        order = order[5:] + order[:5]
        left = (time.perf_counter() - start) * (args.rounds - 1 - turn)
        print(f'{tasks} tasks, round {turn + 1}/{args.rounds}, '
              f'about {left:.0f} s left', file=sys.stderr, flush=True)
    fixed = seconds['fixed weights']
    found = {}
    for name in args.balancers:
        ratio = statistics.median(
            one / other for one, other in zip(seconds[name], fixed))
        found[name] = dict(
            seconds=statistics.median(seconds[name]), ratio=ratio)
        if device.type == 'cpu' and name != USUAL:
            found[name]['inside'] = statistics.median(
                inside[name]) / statistics.median(fixed)
    return found


def peak_of(name: str, tasks: int, args: argparse.Namespace,
            device: torch.device) -> float:
    """Make three steps of one contender.

    Args:
        name (str): The contender.
        tasks (int): Number of tasks.
        args (argparse.Namespace): The arguments.
        device (torch.device): The device.

    Returns:
        float: Peak memory, MiB.
    """
    step = Steps(tasks, args, device).of(name)
    for _ in range(3):
        step()
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) / 2**10


def report(found: Dict[int, Dict[str, dict]]) -> None:
    """Print the table.

    Args:
        found (dict): Number of tasks -> name -> figures.
    """
    for tasks, rows in found.items():
        print(f'\n{f"{tasks} tasks":30}{"s / step":>10}{"/ fixed":>9}'
              f'{"inside, %":>11}{"peak MiB":>10}')
        for name, row in rows.items():
            inside = 100 * row.get('inside', float('nan'))
            peak = row.get('peak')
            print(f'{name:30}{row["seconds"]:10.4f}{row["ratio"]:9.3f}'
                  f'{inside:11.2f}{f"{peak:.0f}" if peak else "":>10}')


def main() -> None:
    """Measure and print."""
    args = parse_args()
    MMLogger.get_current_instance().setLevel('WARNING')
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if args.peak_of:
        print(peak_of(args.peak_of[0], int(args.peak_of[1]), args, device))
        return
    if device.type == 'cpu':
        keep_freed_memory()
    found = {tasks: measure(tasks, args, device) for tasks in args.tasks}
    report(found)
    for tasks in args.tasks if args.memory else ():
        for name in args.memory:
            print(f'memory of {name}, {tasks} tasks', file=sys.stderr,
                  flush=True)
            done = subprocess.run(
                [sys.executable, *sys.argv, '--peak-of', name,
                 str(tasks)],
                check=True,
                stdout=subprocess.PIPE,
                text=True)
            found[tasks][name]['peak'] = float(done.stdout.split()[-1])
    if args.memory:
        report(found)
    if args.out:
        Path(args.out).write_text(
            json.dumps(dict(arguments=vars(args), found=found), indent=1))


if __name__ == '__main__':
    main()
