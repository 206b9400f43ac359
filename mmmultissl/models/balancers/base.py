# Copyright (c) mmmultissl contributors. All rights reserved.
"""What every balancer is."""
from abc import ABCMeta, abstractmethod
from typing import Dict, List

from mmengine.model import BaseModule
from torch import Tensor

TaskLosses = Dict[str, Dict[str, Tensor]]


class Balancer(BaseModule, metaclass=ABCMeta):
    """Makes one loss of the losses of several tasks."""

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are, before anything is trained.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        self.names = list(names)

    @abstractmethod
    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Weigh the losses.

        Args:
            losses (dict): Task -> loss name -> scalar. Entries without
                "loss" in the name are only logged and stay as they are.

        Returns:
            dict: The same, weighted; mmengine sums them.
        """
