# Copyright (c) mmmultissl contributors. All rights reserved.
"""Features of the last few batches, for what needs more than one."""
import math
from typing import Dict, List, Optional

import torch
from torch import Tensor

from mmmultissl.models.selfsup import MultiSSL

from .measurement import Measurement


class FeatureMemory:
    """Rows of several names, of the batches right before a measurement.

    It is filled by the last steps before a measurement only, so the features
    are of nearly one moment and all other steps cost nothing. Rows stay until
    newer ones take their place: the rank and likeness of few features are
    other numbers than those of many, and the last iteration may come soon
    after a measurement.

    Args:
        length (int): Rows to gather.

    Raises:
        ValueError: If the length is less than 2.
    """

    def __init__(self, length: int) -> None:
        if length < 2:
            raise ValueError(f'A memory of {length} features of MonitorHook '
                             'says nothing: set memory to 2 or more, such as '
                             '1024.')
        self.length = length
        self._rows: Dict[str, List[Tensor]] = {}

    def steps(self, batch_size: int) -> int:
        """Steps that fill it.

        Args:
            batch_size (int): Rows of a step.

        Returns:
            int: Their number.
        """
        return math.ceil(self.length / batch_size)

    def add(self, **rows: Tensor) -> None:
        """Append the rows of one step.

        Args:
            **rows (Tensor): Name -> features, ``(N, C)``.
        """
        for name, features in rows.items():
            parts = self._rows.setdefault(name, [])
            parts.append(features)
            while sum(map(len, parts[1:])) >= self.length:
                del parts[0]

    def rows(self) -> Dict[str, Tensor]:
        """Give all rows.

        Returns:
            dict[str, Tensor]: Name -> features, at most ``length`` rows, the
            newest ones.
        """
        return {
            name: torch.cat(parts)[-self.length:]
            for name, parts in self._rows.items()
        }

    def state_dict(self) -> Dict[str, Tensor]:
        """Get what there is, on the CPU.

        Returns:
            dict[str, Tensor]: Name -> features.
        """
        return {name: rows.cpu() for name, rows in self.rows().items()}

    def load_state_dict(self, state: Dict[str, Tensor],
                        device: torch.device) -> None:
        """Take the rows of a checkpoint.

        Args:
            state (dict[str, Tensor]): What :meth:`state_dict` gave.
            device (torch.device): Where the model is.
        """
        self._rows = {
            name: [features.to(device)]
            for name, features in state.items()
        }


class RemembersFeatures(Measurement):
    """A measurement of the features of several batches.

    Args:
        interval (int): Iterations between two measurements.
        memory (int): Images that are looked at, those of the last steps.
    """

    def __init__(self, interval: int, memory: int) -> None:
        super().__init__(interval)
        self.memory = FeatureMemory(memory)
        self._loaded: Optional[dict] = None

    def before_train(self, runner, model: MultiSSL) -> None:
        """See how many steps fill the memory.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Its model.
        """
        self.steps_seen = self.memory.steps(runner.train_dataloader.batch_size)
        if self._loaded:
            self.memory.load_state_dict(self._loaded,
                                        next(model.parameters()).device)
            self._loaded = None

    def state_dict(self) -> Optional[dict]:
        """Get the memory, None while it is empty."""
        return self.memory.state_dict() or None

    def load_state_dict(self, state: dict) -> None:
        """Take the memory of a checkpoint.

        Args:
            state (dict): The memory.
        """
        self._loaded = state
