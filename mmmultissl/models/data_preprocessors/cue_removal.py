# Copyright (c) mmmultissl contributors. All rights reserved.
"""What takes from binaural batches the cue that a pretext task needs.

A task that is solved without its cue is solved by a shortcut. These act in
training and in evaluation alike. They are our choice, as controls.
"""
from typing import Tuple

import torch
from torch import Tensor

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
    """Gives every sample the pictures of another recording.

    Each sample's partner is drawn at random from those of the batch with
    another ``recording_id``, since frames of one recording resemble each
    other; all pictures of the partner come together. Batches of a split in
    its order may hold one recording alone, which is an error: shuffle it, or
    take larger batches.
    """
    always = True

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Replace the pictures; see the base class.

        Raises:
            ValueError: If a sample has no partner in the batch.
        """
        partners = _partners(samples, 'ShuffledPictures')
        return audio, {
            view: _taken(images, partners)
            for view, images in pictures.items()
        }, samples


@MODELS.register_module()
class ShuffledShifted(BinauralAugment):
    """Gives every sample the ``shifted`` clip of another recording.

    What a gap sounds like is gone, its label stays. Partners are drawn as by
    :class:`ShuffledPictures`.

    Args:
        view (str): The view that is replaced. Defaults to 'shifted'.
    """
    always = True

    def __init__(self, view: str = 'shifted') -> None:
        super().__init__()
        self.view = view

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Replace the clips; see the base class.

        Raises:
            ValueError: If a sample has no partner in the batch, or there is
                no such view.
        """
        if self.view not in audio:
            raise ValueError(
                f'ShuffledShifted found no view "{self.view}" among '
                f'{", ".join(audio)}; add it to the views of BinauralClips.')
        partners = _partners(samples, 'ShuffledShifted')
        moved = _taken(audio[self.view], partners)
        return {**audio, self.view: moved}, pictures, samples


def _partners(samples: Samples, name: str) -> Tensor:
    """For each sample the place of one of another recording, at random."""
    recordings = torch.tensor([sample.recording_id for sample in samples])
    others = recordings[:, None] != recordings
    alone = (~others.any(1)).nonzero()
    if len(alone):
        raise ValueError(
            f'{name} got a batch of {len(samples)} that has only the '
            f'recording {samples[int(alone[0])].recording}, and so nobody to '
            'exchange with; set a larger batch_size or '
            'test_dataloader.sampler.shuffle=True.')
    return torch.multinomial(others.float(), 1).squeeze(1)


def _taken(tensor: Tensor, places: Tensor) -> Tensor:
    return tensor[places.to(tensor.device, non_blocking=True)]


@MODELS.register_module()
class PermutedField(BinauralAugment):
    """Gives every sample the label of another one of the batch.

    Nobody keeps its own, so that labels in a batch of one are an error.

    Args:
        field (str): The field of the data samples. Defaults to 'gap'.
    """
    always = True

    def __init__(self, field: str = 'gap') -> None:
        super().__init__()
        self.field = field

    def forward(self, audio: Views, pictures: Views,
                samples: Samples) -> Tuple[Views, Views, Samples]:
        """Permute the labels at random; see the base class.

        Raises:
            ValueError: If the batch has one sample.
        """
        order = _nobody_in_place(len(samples)).tolist()
        values = [samples[place].get(self.field) for place in order]
        moved = []
        for sample, value in zip(samples, values):
            sample = sample.clone()
            sample.set_field(value, self.field, field_type='metainfo')
            moved.append(sample)
        return audio, pictures, moved


def _nobody_in_place(count: int) -> Tensor:
    """A permutation that moves everything, evenly drawn from all of these."""
    if count < 2:
        raise ValueError(
            'PermutedField got a batch of one sample, which has nobody to '
            'exchange labels with; set another batch_size.')
    places = torch.arange(count)
    order = torch.randperm(count)
    # About e draws, however many there are.
    while (order == places).any():
        order = torch.randperm(count)
    return order
