# Copyright (c) mmmultissl contributors. All rights reserved.
"""What audio backbones made of stages have in common."""
from typing import Dict, Optional, Sequence, Tuple

import torch.nn as nn
from mmengine.model import BaseModule
from torch import Tensor


class StagedBackbone(BaseModule):
    """A network of named stages, any of whose outputs can be asked for.

    A stage that no output needs is not computed and has no gradient, so that
    distributed training finds no unused parameter; it is still there, so that
    a checkpoint fills every key whatever is asked for.

    Args:
        stages (dict[str, nn.Module]): Name -> stage, in their order.
        out_indices (Sequence[int]): Stages whose outputs are given; -1 is the
            last one.
        frozen_stages (int): How many stages, from the first one on, neither
            learn nor update the statistics of their norms. Defaults to 0.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no such stage.
    """

    def __init__(self,
                 stages: Dict[str, nn.Module],
                 out_indices: Sequence[int],
                 frozen_stages: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        self.stage_names = tuple(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        count = len(stages)
        if not out_indices or not all(-count <= i < count
                                      for i in out_indices):
            raise ValueError(
                f'{type(self).__name__} has the stages 0 to {count - 1} '
                f'({", ".join(stages)}), but out_indices is '
                f'{tuple(out_indices)}: name one of these, or several.')
        if not 0 <= frozen_stages <= count:
            raise ValueError(
                f'{type(self).__name__} has {count} stages, but frozen_stages '
                f'is {frozen_stages}: set 0 (none) to {count} (all).')
        self.out_indices = tuple(sorted({i % count for i in out_indices}))
        self.frozen_stages = frozen_stages
        unused = self.stage_names[self.out_indices[-1] + 1:]
        for name in self.stage_names[:frozen_stages] + unused:
            getattr(self, name).requires_grad_(False)

    def prepare(self, x: Tensor) -> Tensor:
        """Make of the input what the first stage reads.

        Args:
            x (Tensor): The backbone's input.

        Returns:
            Tensor: The same, unless a subclass says otherwise.
        """
        return x

    def output(self, name: str, x: Tensor) -> Tensor:
        """Make of what a stage gives what the backbone gives.

        Args:
            name (str): Name of the stage.
            x (Tensor): Its map.

        Returns:
            Tensor: The same, unless a subclass says otherwise.
        """
        return x

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Encode.

        Args:
            x (Tensor): Spectrograms, ``(B, channels, F, T)``.

        Returns:
            tuple[Tensor]: One map per ``out_indices``, see the table above.
        """
        x = self.prepare(x)
        outputs = []
        for index, name in enumerate(
                self.stage_names[:self.out_indices[-1] + 1]):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                outputs.append(self.output(name, x))
        return tuple(outputs)

    def train(self, mode: bool = True) -> 'StagedBackbone':
        """Set the mode of all stages that are not frozen.

        Args:
            mode (bool): Whether to train. Defaults to True.

        Returns:
            StagedBackbone: Itself.
        """
        super().train(mode)
        for name in self.stage_names[:self.frozen_stages]:
            getattr(self, name).eval()
        return self
