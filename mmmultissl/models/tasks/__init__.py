# Copyright (c) mmmultissl contributors. All rights reserved.
"""Tasks: one file, one task."""
from .base import PretextTask
from .densecl import DenseCLTask, match_cells
from .mmpretrain_task import MMPretrainTask
from .moco import MoCoV2Task

__all__ = [
    'DenseCLTask', 'MMPretrainTask', 'MoCoV2Task', 'PretextTask',
    'match_cells'
]
