# Copyright (c) mmmultissl contributors. All rights reserved.
"""Heads of pretext tasks and of downstream models."""
from .distillation_predictor import DistillationPredictor
from .fusion_head import FusionHead
from .layout_embedding import LayoutEmbedding
from .normed_res_layer import NormedResLayer
from .two_tower_head import TwoTowerHead

__all__ = [
    'DistillationPredictor', 'FusionHead', 'LayoutEmbedding',
    'NormedResLayer', 'TwoTowerHead'
]
