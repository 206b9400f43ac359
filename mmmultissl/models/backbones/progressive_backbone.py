# Copyright (c) mmmultissl contributors. All rights reserved.
"""A new encoder that reads those trained before it."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn as nn
from mmengine.model import ModuleDict
from torch import Tensor

from mmmultissl.registry import MODELS

from .columns import Column, ColumnBackbone
from .lateral_adapter import LateralAdapter
from .steps import Steps, step_shapes, steps_of

_OUTPUTS = ('last', 'all')


@MODELS.register_module()
class ProgressiveBackbone(ColumnBackbone):
    """Columns of which the last one learns and reads the frozen others.

    Rusu et al., "Progressive Neural Networks" (arXiv:1606.04671): for a new
    task a new column is added, whose layers also read the layers below them
    of all earlier columns through adapters; earlier columns never change, so
    nothing is forgotten. Which layers, and how a column is read downstream,
    is our choice: adapters stand before every stage but the first step (before
    ``layer1`` to ``layer4`` of a ResNet; before ``conv2`` to ``fusion`` of
    an OmniAudioNet, where they are the same for every microphone, as its
    convolutions are), and the output is that of the last column.

    The columns come from the checkpoints of the runs before. The first is a
    plain backbone. A later one with ``laterals=True`` comes from a run that
    had it as the last column of such a backbone, over the same columns under
    the same names, and brings its adapters along; with ``laterals=False`` it
    was trained alone. The last column is drawn, unless it names a
    checkpoint.

    Keys are ``columns.NAME.*`` and ``adapters.NAME.*``. An EMA copy in
    :class:`~mmmultissl.models.MultiSSL` shares the frozen ones.

    Args:
        columns (dict): Name -> config of a column, from the first to the
            last, which is the trained one: ``checkpoint``, ``sha256``,
            ``prefix``, ``laterals`` and ``backbone``; see
            :class:`~mmmultissl.models.backbones.columns.Column`. One set to
            None is left out.
        backbone (dict, optional): Config of the columns that name none of
            their own: a ResNet of mmpretrain or mmdet, an OmniAudioNet or a
            Conv2D10. Defaults to None.
        adapter (dict, optional): Arguments of
            :class:`~mmmultissl.models.backbones.lateral_adapter.LateralAdapter`
            such as ``dict(hidden_channels=64)``. Defaults to None: its own.
        output (str): ``'last'`` for the maps of the last column, ``'all'``
            for those of all columns, concatenated. Defaults to ``'last'``.
        frozen (bool): Whether the earlier columns stay as they are, in
            evaluation mode; for fine-tuning one may set it to False.
            Defaults to True.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Of type ``Pretrained`` it fills all columns and adapters from one
            file, that of a run that had this backbone, and needs no others.
            Defaults to None: each column from its own.

    Raises:
        ValueError: If the columns do not fit together, or a config cannot be
            used.

    Examples:
        >>> import torch
        >>> from mmmultissl.models import ProgressiveBackbone
        >>> net = ProgressiveBackbone(
        ...     backbone=dict(type='mmpretrain.ResNet', depth=18),
        ...     columns=dict(moco=dict(checkpoint='random'), densecl=dict()))
        >>> [tuple(x.shape) for x in net(torch.randn(1, 3, 64, 64))]
        [(1, 512, 2, 2)]
    """

    def __init__(self,
                 columns: Dict[str, Optional[dict]],
                 backbone: Optional[dict] = None,
                 adapter: Optional[dict] = None,
                 output: str = 'last',
                 frozen: bool = True,
                 init_cfg: Union[dict, list, None] = None) -> None:
        if output not in _OUTPUTS:
            raise ValueError(f'ProgressiveBackbone got output={output!r}: set '
                             f'it to one of {", ".join(_OUTPUTS)}.')
        super().__init__(columns, backbone, frozen, init_cfg)
        self.everything = output == 'all'
        self._require_equal_steps()
        self.adapters = self._build_adapters(adapter or {})
        self._freeze()
        self._leave_out_unused()

    # The columns

    @property
    def newest(self) -> str:
        """str: Name of the last column, the one that is trained."""
        return list(self.sources)[-1]

    @property
    def frozen_names(self) -> List[str]:
        """list[str]: All columns but the last."""
        return list(self.sources)[:-1]

    def frozen_modules(self) -> List[nn.Module]:
        """List what never changes, which an EMA copy may share.

        Returns:
            list[nn.Module]: The frozen columns and their adapters.
        """
        modules = super().frozen_modules()
        if self.frozen and hasattr(self, 'adapters'):
            modules += [self.adapters[name] for name in self.frozen_names
                        if name in self.adapters]
        return modules

    @property
    def out_indices(self) -> Sequence[int]:
        """Sequence[int]: The stages whose maps are given."""
        return self.columns[self.newest].out_indices

    @out_indices.setter
    def out_indices(self, stages: Sequence[int]) -> None:
        self.columns[self.newest].out_indices = stages

    @property
    def num_stages(self) -> int:
        """int: How many stages each column has."""
        return len(steps_of(self.columns[self.newest]).stages)

    def _require_equal_steps(self) -> None:
        names = {name: steps_of(column).names
                 for name, column in self.columns.items()}
        for name, steps in names.items():
            if steps != names[self.newest]:
                raise ValueError(
                    f'The columns of ProgressiveBackbone have different '
                    f'stages ({name}: {", ".join(steps)}; {self.newest}: '
                    f'{", ".join(names[self.newest])}): give all of them the '
                    'same kind of backbone.')

    def _require_equal_sizes(self, shapes: Dict[str, dict]) -> None:
        newest = shapes[self.newest]
        for name, each in shapes.items():
            for step, (_, *size) in each.items():
                if size != list(newest[step][1:]):
                    raise ValueError(
                        f'"{name}" and "{self.newest}" of ProgressiveBackbone '
                        f'give maps of different sizes at {step} '
                        f'({"x".join(map(str, size))} and '
                        f'{"x".join(map(str, newest[step][1:]))} for 64x64): '
                        'give all columns the same strides and dilations.')

    def _build_adapters(self, options: dict) -> ModuleDict:
        shapes = {name: step_shapes(column)
                  for name, column in self.columns.items()}
        self._require_equal_sizes(shapes)
        channels = {
            name: {step: shape[0] for step, shape in each.items()}
            for name, each in shapes.items()
        }
        names = list(self.columns)
        adapters = {}
        for number, name in enumerate(names):
            if not self._reads_others(number, name):
                continue
            steps = list(channels[name])
            adapters[name] = ModuleDict({
                step: LateralAdapter(
                    {earlier: channels[earlier][below]
                     for earlier in names[:number]}, channels[name][below],
                    **options)
                for below, step in zip(steps, steps[1:])
            })
        return ModuleDict(adapters)

    def _reads_others(self, number: int, name: str) -> bool:
        laterals = self.sources[name].laterals
        if laterals and number == 0:
            raise ValueError(
                f'"{name}" is the first column of ProgressiveBackbone, so '
                'there is none that it could read: leave laterals out.')
        return number > 0 and (laterals or name == self.newest)

    def _leave_out_unused(self) -> None:
        """No gradient for what no output needs: DDP would wait."""
        used = self._used_steps(steps_of(self.columns[self.newest]))
        for name, column in self.columns.items():
            read = used
            if name != self.newest and not self.everything:
                # The last step is that of the last column alone.
                read = used[:-1]
                for step in steps_of(column).names:
                    if step not in read:
                        getattr(column, step).requires_grad_(False)
            if name in self.adapters:
                for step, adapter in self.adapters[name].items():
                    if step not in read:
                        adapter.requires_grad_(False)

    def _used_steps(self, steps: Steps) -> Tuple[str, ...]:
        last = max(steps.names.index(steps.stages[index])
                   for index in self.out_indices)
        return steps.names[:last + 1]

    # Weights

    def _fill(self, name: str, column: Column) -> None:
        if name == self.newest and not column.checkpoint:
            return  # to be trained from what was drawn
        super()._fill(name, column)

    def _load(self, name: str, column: Column) -> None:
        if not column.laterals:
            super()._load(name, column)
            return
        start = column.prefix.rstrip('.') + '.' if column.prefix else ''
        for module, kind in ((self.columns[name], 'columns'),
                             (self.adapters[name], 'adapters')):
            self._load_part(module, name, column, f'{start}{kind}.{name}.')

    # Encoding

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Encode by all columns, step by step.

        Args:
            x (Tensor): Images ``(N, 3, H, W)``, or spectrograms.

        Returns:
            tuple[Tensor]: One map per ``out_indices``, of the last column or
            of all of them.

        Raises:
            ValueError: If a column has no weights.
            FileNotFoundError: If the file of a column was not there.
        """
        self.require_filled()
        steps = {name: steps_of(column)
                 for name, column in self.columns.items()}
        newest = steps[self.newest]
        used = self._used_steps(newest)
        given = {newest.stages[index] for index in self.out_indices}
        maps = {name: each.prepare(x) for name, each in steps.items()}
        outputs = []
        for step in used:
            # Nothing reads the last maps of the earlier columns.
            alone = step == used[-1] and not self.everything
            maps = {
                name: self._step(name, step, steps[name], maps)
                for name in ([self.newest] if alone else self.columns)
            }
            if step in given:
                outputs.append(self._output(step, steps, maps))
        return tuple(outputs)

    def _step(self, name: str, step: str, steps: Steps,
              maps: Dict[str, Tensor]) -> Tensor:
        learns = name == self.newest or not self.frozen
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            x = maps[name]
            if name in self.adapters and step in self.adapters[name]:
                x = x + self.adapters[name][step](maps)
            return steps.run(step, x)

    def _output(self, step: str, steps: Dict[str, Steps],
                maps: Dict[str, Tensor]) -> Tensor:
        if not self.everything:
            return steps[self.newest].output(step, maps[self.newest])
        return torch.cat(
            [steps[name].output(step, each) for name, each in maps.items()],
            dim=1)
