# Copyright (c) mmmultissl contributors. All rights reserved.
"""Several pretrained encoders side by side."""
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from .columns import ColumnBackbone
from .steps import output_channels

Maps = Tuple[Tensor, ...]


@MODELS.register_module()
class ConcatBackbone(ColumnBackbone):
    """The maps of K encoders, concatenated over channels stage by stage.

    Concatenation of "Sound and Visual Representation Learning with Multiple
    Pretraining Tasks" (CVPR 2022): encoders that were pretrained one by one
    are read together downstream. That they are frozen unless one asks for
    more, and that each map enters as it is, without a norm, is our choice.

    It is K times as wide, as dear and as large as one of its columns, which
    a comparison has to say.

    Args:
        columns (dict): Name -> config of a column, in their order:
            ``checkpoint``, ``sha256``, ``prefix`` and ``backbone``; see
            :class:`~mmmultissl.models.backbones.columns.Column`. One set to
            None is left out.
        backbone (dict, optional): Config of the columns that name none of
            their own, such as ``dict(type='mmpretrain.ResNet', depth=18)``.
            Defaults to None.
        frozen (bool): Whether the columns stay as they are, in evaluation
            mode. Defaults to True.
        resize (bool): Whether maps of other sizes are brought to those of
            the first column, bilinearly; else they are an error.
            Defaults to False.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Of type ``Pretrained`` it fills all columns from one file, that
            of a run that had this backbone. Defaults to None: each column
            from its own.

    Raises:
        ValueError: If there is no column, or a config cannot be used.

    Examples:
        >>> import torch
        >>> from mmmultissl.models import ConcatBackbone
        >>> net = ConcatBackbone(
        ...     backbone=dict(type='mmpretrain.ResNet', depth=18),
        ...     columns=dict(moco=dict(checkpoint='random'),
        ...                  densecl=dict(checkpoint='random')))
        >>> net.out_channels
        (1024,)
        >>> [tuple(x.shape) for x in net(torch.randn(1, 3, 64, 64))]
        [(1, 1024, 2, 2)]
    """

    def __init__(self,
                 columns: Dict[str, Optional[dict]],
                 backbone: Optional[dict] = None,
                 frozen: bool = True,
                 resize: bool = False,
                 init_cfg: Union[dict, list, None] = None) -> None:
        super().__init__(columns, backbone, frozen, init_cfg)
        self.resize = resize

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """tuple[int]: Channels of each output, over all columns."""
        widths = [output_channels(column) for column in self.columns.values()]
        self._require_equal_counts(widths)
        return tuple(sum(each) for each in zip(*widths))

    @property
    def out_indices(self) -> Sequence[int]:
        """Sequence[int]: The stages that every column gives."""
        return next(iter(self.columns.values())).out_indices

    @out_indices.setter
    def out_indices(self, stages: Sequence[int]) -> None:
        for column in self.columns.values():
            column.out_indices = stages

    @property
    def num_stages(self) -> int:
        """int: How many stages the first column has."""
        return next(iter(self.columns.values())).num_stages

    def forward(self, x: Tensor) -> Maps:
        """Encode by every column.

        Args:
            x (Tensor): Images ``(N, 3, H, W)``, or spectrograms.

        Returns:
            tuple[Tensor]: Maps ``(N, C1 + ... + CK, H, W)``, one per
            ``out_indices``.

        Raises:
            ValueError: If the columns' maps do not fit together, or a column
                has no weights.
            FileNotFoundError: If the file of a column was not there.
        """
        self.require_filled()
        with torch.set_grad_enabled(torch.is_grad_enabled()
                                    and not self.frozen):
            outputs = [_as_tuple(column(x))
                       for column in self.columns.values()]
            self._require_equal_counts(outputs)
            return tuple(self._concatenate(i, maps)
                         for i, maps in enumerate(zip(*outputs)))

    def _require_equal_counts(self, outputs: List[tuple]) -> None:
        counts = [len(each) for each in outputs]
        if len(set(counts)) > 1:
            told = ', '.join(f'{name} {count}' for name, count in zip(
                self.columns, counts))
            raise ValueError(
                'The columns of ConcatBackbone give different numbers of '
                f'maps ({told}): set the same out_indices in all of them.')

    def _concatenate(self, index: int, maps: Sequence[Tensor]) -> Tensor:
        sizes = [tuple(each.shape[2:]) for each in maps]
        if len(set(sizes)) == 1:
            return torch.cat(maps, dim=1)
        if not self.resize:
            told = ', '.join(
                f'{name} {"x".join(map(str, size))}'
                for name, size in zip(self.columns, sizes))
            raise ValueError(
                f'The columns of ConcatBackbone give maps of different sizes '
                f'as output {index} ({told}): name columns of the same '
                'strides, or set resize=True.')
        return torch.cat([
            each if size == sizes[0] else F.interpolate(
                each, sizes[0], mode='bilinear', align_corners=False)
            for each, size in zip(maps, sizes)
        ], dim=1)


def _as_tuple(maps: Union[Tensor, Sequence[Tensor]]) -> Maps:
    return (maps, ) if isinstance(maps, Tensor) else tuple(maps)
