# Copyright (c) mmmultissl contributors. All rights reserved.
"""The slowly moving copy of the trunk and of the necks that read it."""
from copy import deepcopy
from dataclasses import dataclass
from math import cos, pi
from typing import Callable, Dict, Iterator, List, Optional, Tuple, Union

import torch
import torch.nn as nn
from torch import Tensor

from ..utils import training_progress


@dataclass(frozen=True)
class MomentumSchedule:
    """The share of the online weights that enters an EMA copy at each step.

    ``ema = (1 - momentum) * ema + momentum * online``, mmengine's convention:
    MoCo's 0.999 is 0.001 here.

    Args:
        start (float): Momentum of the first step, in (0, 1].
            Defaults to 0.001.
        end (float, optional): Momentum of the last step, reached along half a
            cosine (BYOL, arXiv:2006.07733, section 3.2). Defaults to None:
            ``start`` throughout.
    """

    start: float = 0.001
    end: Optional[float] = None

    def __post_init__(self) -> None:
        if not 0 < self.start <= 1 or not 0 <= (self.end or 0) <= 1:
            raise ValueError(
                f'An EMA momentum of {self.start} to {self.end} is outside '
                '(0, 1]: set the share of the online weights, such as 0.001 '
                'where papers write 0.999.')

    @classmethod
    def of(cls, value: Union[float, dict]) -> 'MomentumSchedule':
        """Make a schedule from a config's number or dict.

        Args:
            value (float | dict): A constant momentum, or the arguments.

        Returns:
            MomentumSchedule: The schedule.
        """
        return cls(**value) if isinstance(value, dict) else cls(value)

    def now(self) -> float:
        """Get the momentum of the running iteration."""
        if self.end is None:
            return self.start
        done, total = training_progress()
        annealing = (cos(pi * done / float(total)) + 1) / 2
        return self.end - (self.end - self.start) * annealing

    def __str__(self) -> str:
        return (f'{self.start}' if self.end is None else
                f'{self.start} to {self.end} along a cosine')


class MomentumEncoder(nn.Module):
    """An EMA copy of the trunk, with EMA copies of the necks of its tasks.

    Its first update is a copy, so that weights loaded or initialised after
    construction are the ones it starts from. It is a plain module on purpose:
    mmengine does not initialise it again.

    Args:
        backbone (nn.Module): The online trunk.
        schedule (MomentumSchedule): How fast it follows.
    """

    def __init__(self, backbone: nn.Module,
                 schedule: MomentumSchedule) -> None:
        super().__init__()
        self.schedule = schedule
        # What never changes, such as frozen columns, is shared, not copied.
        shared = getattr(backbone, 'frozen_modules', tuple)()
        self.backbone = deepcopy(backbone, {id(m): m for m in shared})
        self.backbone.requires_grad_(False)
        self.tasks = nn.ModuleDict()
        self.steps = 0
        # Whether the next update moves; None: every one does.
        self._due: Optional[bool] = None
        # Whether the optimiser had not stepped when the state was saved.
        self._held = False

    def add_task(self, name: str, modules: Dict[str, nn.Module]) -> None:
        """Keep EMA copies of a task's modules.

        Args:
            name (str): The task's name.
            modules (dict): Name -> online module.
        """
        self.tasks[name] = nn.ModuleDict({
            key: deepcopy(module).requires_grad_(False)
            for key, module in modules.items()
        })

    def follow(self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """Move only where this optimiser has made a step in between.

        It tells by a hook, so that nothing moves while gradients accumulate
        or when a gradient scaler skips a step (a fused optimiser skips inside
        its kernel, and counts as having stepped). Until an optimiser is
        followed, every update moves.

        Args:
            optimizer (torch.optim.Optimizer): The optimiser of the trunk.

        Returns:
            Callable: Ends it.
        """
        self._due = not self._held
        self._held = False
        hook = optimizer.register_step_post_hook(self._mark_due)

        def stop() -> None:
            hook.remove()
            self._due = None

        return stop

    def hold(self) -> None:
        """Stay where it is until a followed optimiser steps."""
        self._due = False

    def _mark_due(self, *_) -> None:
        self._due = True

    @torch.no_grad()
    def update(self, backbone: nn.Module,
               tasks: Dict[str, Dict[str, nn.Module]]) -> None:
        """Move towards the online weights, once per optimiser step.

        Buffers (BN statistics) are copied at every call.

        Args:
            backbone (nn.Module): The online trunk.
            tasks (dict): Task name -> module name -> online module.
        """
        online = [backbone] + [
            tasks[name][key] for name, copies in self.tasks.items()
            for key in copies
        ]
        copies = [self.backbone] + [
            copy for group in self.tasks.values() for copy in group.values()
        ]
        source, target = _pairs(online, copies, nn.Module.parameters)

        if self._due is not False:
            self._average(target, source)
            self.steps += 1
            if self._due:
                self._due = False
        source, target = _pairs(online, copies, nn.Module.buffers)
        _copy(target, source)

    def _average(self, target: List[Tensor], source: List[Tensor]) -> None:
        if self.steps == 0:
            _copy(target, source)
            return
        momentum = self.schedule.now()
        if self.schedule.end is None:
            torch._foreach_lerp_(target, source, momentum)
        else:
            # The order of operations of mmpretrain's CosineEMA.
            torch._foreach_mul_(target, 1 - momentum)
            torch._foreach_add_(target, source, alpha=momentum)

    def __getstate__(self) -> dict:
        # The optimiser's hook stays with the original.
        return dict(self.__dict__, _due=None)

    def get_extra_state(self) -> Tensor:
        """Get the number of updates, and whether the next one waits for the
        optimiser, for the state dict, as a CPU tensor."""
        return torch.tensor([self.steps, self._due is False])

    def set_extra_state(self, state: Tensor) -> None:
        """Take over from a state dict; earlier ones had the number alone."""
        steps, *held = state.reshape(-1).tolist()
        self.steps, self._held = int(steps), any(held)


def _copy(target: List[Tensor], source: List[Tensor]) -> None:
    if target:
        torch._foreach_copy_(target, source)


def _pairs(
    online: List[nn.Module], copies: List[nn.Module],
    tensors_of: Callable[[nn.Module], Iterator[Tensor]]
) -> Tuple[List[Tensor], List[Tensor]]:
    """List the tensors of modules and of their copies, but for shared ones."""
    pairs = [(mine, theirs) for module, copy in zip(online, copies)
             for mine, theirs in zip(tensors_of(module), tensors_of(copy))
             if mine is not theirs]
    return [mine for mine, _ in pairs], [theirs for _, theirs in pairs]
