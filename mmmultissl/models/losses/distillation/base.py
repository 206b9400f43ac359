# Copyright (c) mmmultissl contributors. All rights reserved.
"""What every distillation distance is."""
from abc import ABCMeta, abstractmethod
from typing import Optional, Tuple

import torch
import torch.nn as nn
from torch import Tensor


class DistillationDistance(nn.Module, metaclass=ABCMeta):
    """How far a student's features are from those of a frozen teacher.

    A subclass says what it reads and writes :meth:`distance`. The teacher
    never gets a gradient, and everything is computed in at least float32,
    under autocast too.
    """

    #: What it reads: 'pooled', ``(N, C)``, and 'dense', ``(N, C, H, W)``.
    layouts: Tuple[str, ...] = ('pooled', 'dense')
    #: Whether student and teacher need as many channels as each other.
    same_channels = True
    #: Channels of student and teacher that it was made for; None: any.
    made_for: Optional[Tuple[int, int]] = None
    #: Whether they need maps of equal height and width.
    same_size = True

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance.

        Args:
            student (Tensor): Features of the trained encoder, ``(N, C)`` or
                ``(N, C, H, W)``.
            teacher (Tensor): Of the frozen one, for the same samples.

        Returns:
            Tensor: A scalar, float32 or float64.

        Raises:
            ValueError: If the features cannot be compared.
        """
        self._check(student, teacher)
        dtype = torch.promote_types(student.dtype, torch.float32)
        with torch.autocast(student.device.type, enabled=False):
            return self.distance(student.to(dtype),
                                 teacher.detach().to(dtype))

    @abstractmethod
    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the distance of features that have been checked.

        Args:
            student (Tensor): ``(N, C)`` or ``(N, C, H, W)``, float32 or
                float64.
            teacher (Tensor): The same of the teacher, without gradient.

        Returns:
            Tensor: A scalar.
        """

    def _check(self, student: Tensor, teacher: Tensor) -> None:
        name = type(self).__name__
        shapes = (f'{name} got student features {tuple(student.shape)} and '
                  f'teacher features {tuple(teacher.shape)}')
        layouts = {2: 'pooled', 4: 'dense'}
        if (student.dim() != teacher.dim() or student.dim() not in layouts
                or len(student) != len(teacher)):
            raise ValueError(f'{shapes}: pass (N, C) or (N, C, H, W) of the '
                             'same samples.')
        if layouts[student.dim()] not in self.layouts:
            raise ValueError(
                f'{shapes}, but reads {self.layouts[0]} features only: set '
                f"features='{self.layouts[0]}' in the task.")
        if self.same_channels and student.size(1) != teacher.size(1):
            raise ValueError(
                f'{shapes}: their channels differ, so set predictor=dict('
                f'in_channels={student.size(1)}, '
                f'out_channels={teacher.size(1)}) in the task.')
        channels = (student.size(1), teacher.size(1))
        if self.made_for is not None and channels != self.made_for:
            raise ValueError(
                f'{shapes}, but was made for {self.made_for[0]} and '
                f'{self.made_for[1]} channels: set in_channels of the '
                'distance where it has them, otherwise feat_dim, to those of '
                'the encoders.')
        if self.same_size and student.shape[2:] != teacher.shape[2:]:
            raise ValueError(
                f'{shapes}: their maps differ in size, so choose a stage '
                "where they agree, or features='pooled', in the task.")
