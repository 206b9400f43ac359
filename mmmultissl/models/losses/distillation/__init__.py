# Copyright (c) mmmultissl contributors. All rights reserved.
"""Distances of a student's features from those of a frozen teacher."""
from .attention import AttentionDistance
from .base import DistillationDistance
from .contrastive import ContrastiveDistance
from .crd import CRDDistance
from .euclidean import EuclideanDistance
from .hint import HintDistance
from .kd import KDDistance
from .pkt import PKTDistance
from .queue_similarity import QueueSimilarityDistance
from .rkd import RKDDistance
from .similarity_preserving import SimilarityPreservingDistance

__all__ = [
    'AttentionDistance', 'CRDDistance', 'ContrastiveDistance',
    'DistillationDistance', 'EuclideanDistance', 'HintDistance', 'KDDistance',
    'PKTDistance', 'QueueSimilarityDistance', 'RKDDistance',
    'SimilarityPreservingDistance'
]
