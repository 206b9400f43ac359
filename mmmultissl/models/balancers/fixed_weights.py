# Copyright (c) mmmultissl contributors. All rights reserved.
"""One loss of many, by weights that do not change."""
from typing import Dict, List, Optional

from mmmultissl.registry import MODELS
from mmmultissl.utils.setting_kinds import dict_of, is_number

from .base import Balancer, TaskLosses


@MODELS.register_module()
class FixedWeights(Balancer):
    """Multiplies each task's losses by a constant.

    Args:
        weights (dict, optional): Task name -> weight. Tasks that are not
            named have weight 1. Defaults to None: a plain sum.

    Raises:
        ValueError: If a weight is negative or no number.
    """

    def __init__(self, weights: Optional[Dict[str, float]] = None) -> None:
        super().__init__()
        self.weights = {
            task: weight
            for task, weight in dict_of('balancer.weights', weights).items()
            if task != '_scope_'
        }
        for task, weight in self.weights.items():
            if not (is_number(weight) and weight >= 0):
                raise ValueError(
                    f'balancer.weights gives {task} the weight {weight!r}: '
                    'set a number of 0 or more, since less would train '
                    'against it.')

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks.

        Raises:
            ValueError: If a weight is given to a task that is not there.
        """
        super().set_tasks(names)
        unknown = sorted(set(self.weights) - set(names))
        if unknown:
            raise ValueError(
                f'balancer.weights names {", ".join(unknown)}, but the tasks '
                f'are {", ".join(names)}: weigh one of these.')

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Weigh the losses.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, weighted.
        """
        return {
            task: {
                name: value *
                self.weights.get(task, 1.) if 'loss' in name else value
                for name, value in task_losses.items()
            }
            for task, task_losses in losses.items()
        }

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'weights={self.weights}'
