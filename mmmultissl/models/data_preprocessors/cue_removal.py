# Copyright (c) mmmultissl contributors. All rights reserved.
"""What takes from binaural batches the cue that a pretext task needs.

A task that is solved without its cue is solved by a shortcut. These act in
training and in evaluation alike. They are our choice, as controls.
"""
from typing import Tuple

import torch

from mmmultissl.registry import MODELS
from .binaural_augment import BinauralAugment, Samples, Views


@MODELS.register_module()
class MeanOfEars(BinauralAugment):
    """Gives both ears of every pair the mean of the two.

    Without differences between ears, spatial alignment has nothing left but
    what the head does to a sound that reaches both ears alike.
    """
    always = True

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Replace the waves; see the base class."""
        return {
            view: waves.unflatten(1, (-1, 2)).mean(
                2, keepdim=True).expand(-1, -1, 2, -1).flatten(1, 2)
            for view, waves in audio.items()
        }, pictures, samples


@MODELS.register_module()
class EvenBands(BinauralAugment):
    """Takes away the colour that head and ears give to a sound.

    In spectrograms with a logarithm a response that stays as it is adds a
    constant to each band. The mean of each band over time and both ears is
    replaced by that of the whole clip; differences between ears stay, and so
    does what changes within the clip. After :class:`MeanOfEars` no difference
    between directions is left of sources that keep still.
    """
    always = True
    on_spectrograms = True

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Level the bands; see the base class."""
        return {
            view: maps - maps.mean((1, 3), keepdim=True) + maps.mean(
                (1, 2, 3), keepdim=True)
            for view, maps in audio.items()
        }, pictures, samples


@MODELS.register_module()
class ShuffledPictures(BinauralAugment):
    """Gives every sample the pictures of another one of the batch.

    All pictures of a sample move together, by a rotation of the batch by a
    number of places drawn for each batch, so that nobody keeps its own.
    """
    always = True

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Move the pictures; see the base class.

        Raises:
            ValueError: If the batch has one sample only.
        """
        if len(samples) < 2:
            raise ValueError('ShuffledPictures got a batch of one sample, '
                             'which has nobody to exchange with; set '
                             'batch_size to at least 2.')
        shift = int(torch.randint(1, len(samples), ()))
        return audio, {
            view: images.roll(shift, 0)
            for view, images in pictures.items()
        }, samples


@MODELS.register_module()
class ShuffledShifted(BinauralAugment):
    """Gives every sample the ``shifted`` clip of another one of the batch.

    What a gap sounds like is gone, its label stays.

    Args:
        view (str): The view that moves. Defaults to 'shifted'.
    """
    always = True

    def __init__(self, view: str = 'shifted') -> None:
        super().__init__()
        self.view = view

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Move the clips; see the base class.

        Raises:
            ValueError: If the batch has one sample only, or no such view.
        """
        if len(samples) < 2 or self.view not in audio:
            raise ValueError(
                f'ShuffledShifted needs at least two samples with the view '
                f'"{self.view}", but got {len(samples)} with '
                f'{", ".join(audio)}; see batch_size and the views of '
                'BinauralClips.')
        shift = int(torch.randint(1, len(samples), ()))
        moved = audio[self.view].roll(shift, 0)
        return {**audio, self.view: moved}, pictures, samples


@MODELS.register_module()
class PermutedField(BinauralAugment):
    """Gives every sample the label of another one of the batch.

    Args:
        field (str): The field of the data samples. Defaults to 'gap'.
    """
    always = True

    def __init__(self, field: str = 'gap') -> None:
        super().__init__()
        self.field = field

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Permute the labels at random; see the base class."""
        order = torch.randperm(len(samples)).tolist()
        values = [samples[place].get(self.field) for place in order]
        moved = []
        for sample, value in zip(samples, values):
            sample = sample.clone()
            sample.set_field(value, self.field, field_type='metainfo')
            moved.append(sample)
        return audio, pictures, moved
