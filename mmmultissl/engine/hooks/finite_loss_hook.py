# Copyright (c) mmmultissl contributors. All rights reserved.
"""Stop a training whose losses or weights are no longer numbers."""
import math
from typing import Dict, List, Optional

import torch
from mmengine.dist import all_gather_object, all_reduce, is_distributed
from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.model import is_model_wrapper

from mmmultissl.registry import HOOKS


def log_interval(runner) -> int:
    """Iterations between two log lines of a runner.

    Args:
        runner (Runner): The runner.

    Returns:
        int: The interval of its ``LoggerHook``; 10, mmengine's default, where
        it has none.
    """
    intervals = [h.interval for h in runner.hooks if isinstance(h, LoggerHook)]
    return min(intervals, default=10)


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Check that all losses are finite, and never save what is not.

    The losses are looked at in iterations that log or save and in the last
    one; in all others this hook leaves them alone. In those iterations all
    ranks agree, so that they stop together. Before a
    checkpoint is written its weights are looked at too, for a backward pass
    can spoil them after a finite loss; so the last checkpoint is always one
    to go on from. ``PretrainLoop`` registers this hook by itself.

    Args:
        interval (int, optional): Iterations between two checks. None takes
            the interval of the ``LoggerHook``. Defaults to None.

    Raises:
        FloatingPointError: If a loss or a weight is not finite.
    """

    # After the log line is printed (BELOW_NORMAL), before saving (VERY_LOW).
    priority = 'LOW'

    def __init__(self, interval: Optional[int] = None) -> None:
        self.interval = interval
        self._outputs: Optional[dict] = None

    def _is_due(self, runner) -> bool:
        interval = self.interval or log_interval(runner)
        if self.every_n_train_iters(runner, interval):
            return True
        if self.is_last_train_iter(runner):
            return True
        return any(
            self.every_n_train_iters(runner, hook.interval, hook.save_begin)
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Check the losses where it is due.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Iterations done before this one.
            data_batch (Any): Not used.
            outputs (dict, optional): The log variables of the step.
        """
        self._outputs = outputs
        if not self._is_due(runner):
            return
        faults = _faults(outputs)
        if is_distributed():
            flag = torch.tensor(len(faults))
            all_reduce(flag, op='max')
            if flag:
                gathered = all_gather_object(faults)
                faults = sorted({name for names in gathered for name in names})
        if faults:
            _stop(runner, runner.iter + 1, faults)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check the losses and the weights that are about to be saved.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint.
        """
        iteration = checkpoint['meta']['iter']
        faults = _faults(self._outputs)
        if faults:
            _stop(runner, iteration, faults)
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        weights = checkpoint['state_dict']
        for name, _ in model.named_parameters():
            if name in weights and not torch.isfinite(weights[name]).all():
                _stop(runner, iteration, [f'the weight {name}'])


def _faults(outputs: Optional[dict]) -> List[str]:
    """Name the losses that are not finite, with one wait for the device."""
    losses: Dict[str, torch.Tensor] = {
        name: value
        for name, value in (outputs or {}).items() if 'loss' in name
    }
    if not losses:
        return []
    tensors = [v for v in losses.values() if isinstance(v, torch.Tensor)]
    device = tensors[0].device if tensors else 'cpu'
    values = torch.stack([
        torch.as_tensor(value, device=device).detach().float().mean()
        for value in losses.values()
    ]).tolist()
    return [
        f'{name} = {value}' for name, value in zip(losses, values)
        if not math.isfinite(value)
    ]


def _stop(runner, iteration: int, faults: List[str]) -> None:
    parts = [name for name in faults if not name.startswith('loss =')]
    saved = runner.message_hub.runtime_info.get('last_ckpt')
    go_on = (f'continue from {saved}'
             if saved else 'start again (no checkpoint was saved yet)')
    raise FloatingPointError(
        f'Training stopped at iteration {iteration}, because it is not '
        f'finite any more: {", ".join(parts or faults)}; {go_on} with a lower '
        'learning rate, a longer warm-up, gradient clipping or a higher '
        'precision.')
