# Copyright (c) mmmultissl contributors. All rights reserved.
"""What can be known of a pretraining run while it trains."""
import math
from typing import TYPE_CHECKING, Dict, List, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmmultissl.registry import HOOKS
from mmmultissl.utils.arguments import check_arguments

# What measures imports the models, which may be importing us: see __init__.
if TYPE_CHECKING:
    from mmmultissl.models.selfsup import MultiSSL

    from .measurement import Measurement, Numbers

# Says what the cosine says, on another scale.
_NOT_IN_TEXT = ('std', )


@HOOKS.register_module()
class MonitorHook(Hook):
    """Measures features, tasks and memories, and says when a run collapsed.

    Numbers come from what the step computes anyway, where that is possible,
    and the training is not touched: a run with this hook ends bit for bit
    where one without it ends. They go to the log in one line, and as
    ``monitor/...`` to the message hub and to whatever the visualizer writes
    to. The first process logs. See docs/monitor.md for every number.

    Each argument is a dict of arguments of a measurement, all of which have
    an ``interval`` in iterations, or None to leave it out.

    Args:
        batch (dict, optional): Of :class:`BatchGeometry`: spread, uniformity,
            alignment, rank of the positive. Defaults to ``dict()``.
        rank (dict, optional): Of :class:`TrunkRank`: effective rank.
            Defaults to ``dict()``.
        gradients (dict, optional): Of :class:`TaskGradients`: norms and
            cosines. Defaults to ``dict()``.
        queues (dict, optional): Of :class:`QueueAge`. Defaults to ``dict()``.
        keys (dict, optional): Of :class:`KeyDrift`: likeness of old keys to
            the same ones made anew. Defaults to ``dict()``.
        drift (dict, optional): Of :class:`FeatureDrift`: likeness to the
            frozen teachers. Defaults to ``dict()``.
        knn (dict, optional): Of :class:`OnlineKNN`, such as
            ``dict(dataset=dict(type='mmmultissl.VOC07Images', ...))``.
            Defaults to None.
        earlier_tasks (dict, optional): Of :class:`EarlierTasks`.
            Defaults to None.
        collapse (dict, optional): Of :class:`CollapseJudge`.
            Defaults to ``dict()``.

    Raises:
        ValueError: If an argument cannot be used, or the model is no
            ``MultiSSL``.
    """

    # After the log line (BELOW_NORMAL), before the checkpoint (VERY_LOW).
    priority = 'LOW'
    key = 'monitor'

    def __init__(self,
                 batch: Optional[dict] = {},
                 rank: Optional[dict] = {},
                 gradients: Optional[dict] = {},
                 queues: Optional[dict] = {},
                 keys: Optional[dict] = {},
                 drift: Optional[dict] = {},
                 knn: Optional[dict] = None,
                 earlier_tasks: Optional[dict] = None,
                 collapse: Optional[dict] = {}) -> None:
        from .batch_geometry import BatchGeometry
        from .collapse import CollapseJudge
        from .earlier_tasks import EarlierTasks
        from .feature_drift import FeatureDrift
        from .key_drift import KeyDrift
        from .online_knn import OnlineKNN
        from .queue_age import QueueAge
        from .task_gradients import TaskGradients
        from .trunk_rank import TrunkRank
        kinds = dict(
            batch=(BatchGeometry, batch),
            rank=(TrunkRank, rank),
            gradients=(TaskGradients, gradients),
            queues=(QueueAge, queues),
            keys=(KeyDrift, keys),
            drift=(FeatureDrift, drift),
            knn=(OnlineKNN, knn),
            earlier_tasks=(EarlierTasks, earlier_tasks))
        self.measurements: Dict[str, 'Measurement'] = {
            name: _build(name, kind, options)
            for name, (kind, options) in kinds.items() if options is not None
        }
        self.judge = None if collapse is None else _build(
            'collapse', CollapseJudge, collapse)
        if self.judge is not None:
            self.judge.sees_batches = 'batch' in self.measurements
        self._observer = None

    def before_train(self, runner) -> None:
        """Prepare the measurements.

        Args:
            runner (Runner): The runner.
        """
        from .step import StepObserver
        model = _model_of(runner)
        for measurement in self._here():
            measurement.before_train(runner, model)
        self._observer = StepObserver(model)

    def before_train_iter(self,
                          runner,
                          batch_idx: int,
                          data_batch=None) -> None:
        """Look at the coming step where somebody wants it.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
        """
        step, last = runner.iter + 1, runner.max_iters
        if any(m.wants(step, last) for m in self._here()):
            self._observer.start()
        for measurement in self._here():
            measurement.before_step(_model_of(runner), step, last)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Measure what is due.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        step, last = runner.iter + 1, runner.max_iters
        seen = self._observer.take()
        numbers: 'Numbers' = {}
        for measurement in self._here():
            if measurement.wants(step, last):
                measurement.see(seen)
            if measurement.is_due(step, last):
                numbers.update(measurement.measure(_model_of(runner), step))
        if numbers and is_main_process():
            self._report(runner, step, numbers)

    def after_train(self, runner) -> None:
        """Leave the model as it was.

        Args:
            runner (Runner): The runner.
        """
        self._observer.close()
        for measurement in self._here():
            measurement.after_train()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add what a resumed run needs to log the same numbers.

        It has no influence on the training, so a run may be resumed with this
        hook, without it, or with other measurements.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint to be written.
        """
        state = {
            name: state for name, state in (
                (name, m.state_dict())
                for name, m in self.measurements.items())
            if state is not None
        }
        if self.judge is not None:
            state['collapse'] = self.judge.state_dict()
        checkpoint[self.key] = state

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take it back.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint that was read.
        """
        if not runner._resume:
            return
        state = checkpoint.get(self.key, {})
        for name, measurement in self.measurements.items():
            if name in state:
                measurement.load_state_dict(state[name])
        if self.judge is not None and 'collapse' in state:
            self.judge.load_state_dict(state['collapse'])

    def _here(self) -> List['Measurement']:
        """The measurements that this process takes part in."""
        return [
            m for m in self.measurements.values()
            if m.on_all_ranks or is_main_process()
        ]

    def _report(self, runner, step: int, numbers: 'Numbers') -> None:
        # FiniteLossHook speaks of the others, and ends the run.
        numbers = {k: v for k, v in numbers.items() if math.isfinite(v)}
        scalars = {f'{self.key}/{k}': v for k, v in numbers.items()}
        runner.message_hub.update_scalars(scalars)
        runner.visualizer.add_scalars(scalars, step=step)
        runner.logger.info(f'Monitor({step}) {in_one_line(numbers)}')
        if self.judge is not None:
            for sentence in self.judge.judge(numbers, step):
                runner.logger.warning(f'Iteration {step}: {sentence}')


def in_one_line(numbers: 'Numbers') -> str:
    """Write numbers for people, what they are of once; not all of them.

    Args:
        numbers (dict[str, float]): ``{of what}/{name}`` -> number.

    Returns:
        str: Such as ``trunk: cosine 0.31 uniformity -2.1 | knn: mAP 34.1``.
    """
    groups: Dict[str, List[str]] = {}
    for name, value in numbers.items():
        subject, _, key = name.rpartition('/')
        if key in _NOT_IN_TEXT:
            continue
        groups.setdefault(subject, []).append(f'{key} {value:.3g}')
    return ' | '.join(f'{subject}: {" ".join(parts)}'
                      for subject, parts in groups.items())


def _build(name: str, kind: type, options: dict):
    options = {k: v for k, v in options.items() if k != '_scope_'}
    check_arguments(kind, options, f'{name} of MonitorHook')
    return kind(**options)


def _model_of(runner) -> 'MultiSSL':
    from mmmultissl.models.selfsup import MultiSSL
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    if not isinstance(model, MultiSSL):
        raise ValueError(
            'MonitorHook watches mmmultissl.MultiSSL, but the model is a '
            f'{type(model).__name__}: take the hook out of custom_hooks.')
    return model
