# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weights by how well the tasks are solved."""
from typing import Dict, List, Union

import torch
from torch import Tensor

from mmmultissl.registry import MODELS
from mmmultissl.utils.setting_kinds import is_number

from .base import LossBalancer, TaskLosses, mean_over_ranks


@MODELS.register_module()
class DynamicTaskPrioritisation(LossBalancer):
    r"""Gives more weight to a task that is not solved yet.

    "Dynamic Task Prioritization for Multitask Learning" (Guo et al., ECCV
    2018): :math:`w_t = -(1 - \kappa_t)^{\gamma_t}
    \log \kappa_t`, with :math:`\kappa_t` a running mean of a performance in
    (0, 1], here an accuracy that the task logs. At the start
    :math:`\kappa_t` is the accuracy of the first step (our choice). A task
    alone is weighed too. Weights do not depend on the size of the losses.

    Args:
        kpi (str | dict): Name of the logged accuracy, or task -> name for
            those that have another. Defaults to 'accuracy'.
        gamma (float | dict): Exponent :math:`\gamma`, or task -> exponent.
            Defaults to 1.
        momentum (float): Share of a step's accuracy in the running mean, in
            (0, 1]. Defaults to 0.1 (our choice).

    Raises:
        ValueError: If a number cannot be used, or a task logs no such number.
    """

    def __init__(self,
                 kpi: Union[str, Dict[str, str]] = 'accuracy',
                 gamma: Union[float, Dict[str, float]] = 1.,
                 momentum: float = 0.1) -> None:
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f'The momentum of DynamicTaskPrioritisation is '
                             f'{momentum}: set a number in (0, 1].')
        exponents = dict(gamma) if isinstance(gamma, dict) else {'': gamma}
        exponents.pop('_scope_', None)
        for exponent in exponents.values():
            if not (is_number(exponent) and exponent >= 0):
                raise ValueError(
                    'DynamicTaskPrioritisation got the gamma '
                    f'{exponent!r}: set a number of 0 or more.')
        self.kpi, self.gamma, self.momentum = kpi, gamma, momentum
        self._checked = False

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.

        Raises:
            ValueError: If ``kpi`` or ``gamma`` names another one.
        """
        super().set_tasks(names)
        for key, given in (('kpi', self.kpi), ('gamma', self.gamma)):
            unknown = sorted(set(given if isinstance(given, dict) else ()) -
                             {*names, '_scope_'})
            if unknown:
                raise ValueError(
                    f'model.balancer.{key} names {", ".join(unknown)}, but '
                    f'the tasks are {", ".join(names)}: name these.')
        # 0 before the first step: no accuracy can leave it there.
        self.register_buffer('performance', torch.zeros(len(names)))
        gammas = [_of(self.gamma, name, 1.) for name in names]
        self.register_buffer(
            'gammas', torch.tensor(gammas, dtype=torch.float32),
            persistent=False)

    def weights(self, losses: TaskLosses) -> Tensor:
        """Get the weights, and take the accuracies into the running means.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: ``(T, )``.
        """
        new = mean_over_ranks([
            self._performance_of(task, losses[task]) for task in self.names
        ]).to(self.performance)
        self._check(new)
        # -log of nothing is no weight; 1e-6 gives 14.
        new = new.clamp(1e-6, 1)
        mean = torch.where(self.performance == 0, new,
                           self.performance.lerp(new, self.momentum))
        if self.training:
            self.performance.copy_(mean)
        return -(1 - mean)**self.gammas * mean.log()

    def _performance_of(self, task: str, entries: Dict[str, Tensor]) -> Tensor:
        name = _of(self.kpi, task, 'accuracy')
        if name not in entries:
            there = ', '.join(n for n in entries if 'loss' not in n) or 'none'
            raise ValueError(
                f'DynamicTaskPrioritisation reads "{name}" of the task '
                f'"{task}", which logs {there}: name a logged accuracy in '
                f'model.balancer.kpi.{task}, or use another balancer.')
        return entries[name]

    def _check(self, new: Tensor) -> None:
        if self._checked:
            return
        self._checked = True
        # Once: reading a number makes the device wait.
        for task, value in zip(self.names, new.tolist()):
            if not 0 <= value <= 1:
                raise ValueError(
                    f'DynamicTaskPrioritisation reads {value:.4g} as the '
                    f'accuracy of the task "{task}": name one between 0 and 1 '
                    f'in model.balancer.kpi.{task}.')


def _of(value: Union[object, dict], task: str, default: object) -> object:
    return value.get(task, default) if isinstance(value, dict) else value
