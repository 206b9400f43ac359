# Copyright (c) mmmultissl contributors. All rights reserved.
"""What lets mmdet's detectors carry our backbones."""
from .neck_follows_backbone import NeckFollowsBackbone

__all__ = ['NeckFollowsBackbone']
