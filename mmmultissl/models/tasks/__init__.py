# Copyright (c) mmmultissl contributors. All rights reserved.
"""Tasks: one file, one task."""
from .audio_visual import AudioVisualTask
from .base import PretextTask
from .densecl import DenseCLTask, match_cells
from .feature_distillation import FeatureDistillationTask
from .foreground_alignment import ForegroundAlignmentTask
from .head_responses import head_responses
from .mmpretrain_task import MMPretrainTask
from .moco import MoCoV2Task
from .old_head_distillation import OldHeadDistillationTask
from .spatial_alignment import SpatialAlignmentTask
from .teacher import Teacher
from .temporal_gap import TemporalGapTask

__all__ = [
    'AudioVisualTask', 'DenseCLTask', 'FeatureDistillationTask',
    'ForegroundAlignmentTask', 'MMPretrainTask', 'MoCoV2Task',
    'OldHeadDistillationTask', 'PretextTask', 'SpatialAlignmentTask',
    'Teacher', 'TemporalGapTask', 'head_responses', 'match_cells'
]
