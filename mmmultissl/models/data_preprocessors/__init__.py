# Copyright (c) mmmultissl contributors. All rights reserved.
from .binaural_augment import AddNoise, LeftRightSwap, SharedGain, SpecAugment
from .binaural_preprocessor import BinauralDataPreprocessor
from .cue_removal import (EvenBands, MeanOfEars, PermutedField,
                          ShuffledPictures, ShuffledShifted)
from .deferred_views import DeferredViews
from .spectrogram import Spectrogram

__all__ = [
    'AddNoise', 'BinauralDataPreprocessor', 'DeferredViews', 'EvenBands',
    'LeftRightSwap', 'MeanOfEars', 'PermutedField', 'SharedGain',
    'ShuffledPictures', 'ShuffledShifted', 'SpecAugment', 'Spectrogram'
]
