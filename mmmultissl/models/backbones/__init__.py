# Copyright (c) mmmultissl contributors. All rights reserved.
"""Backbones for spectrograms, and those made of several others."""
from .column_overrides import (concat_overrides, progressive_overrides,
                               transfer_overrides)
from .concat_backbone import ConcatBackbone
from .conv2d10 import Conv2D10
from .omni_audio_net import OmniAudioNet
from .progressive_backbone import ProgressiveBackbone
from .spectrogram_adapter import SpectrogramAdapter

__all__ = [
    'ConcatBackbone', 'Conv2D10', 'OmniAudioNet', 'ProgressiveBackbone',
    'SpectrogramAdapter', 'concat_overrides', 'progressive_overrides',
    'transfer_overrides'
]
