# Copyright (c) mmmultissl contributors. All rights reserved.
"""From int16 clips and uint8 frames to what the networks take."""
import copy
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
import torch.nn as nn
from mmengine.model import BaseDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from .binaural_augment import joint_rms

_FULL_SCALE = 2.**15


@MODELS.register_module()
class BinauralDataPreprocessor(BaseDataPreprocessor):
    """Makes spectrograms and normalised frames of a batch, on the device.

    Views are told apart by what they are: int16 (B, M, T) is sound, uint8
    (B, 3, H, W) pictures, uint8 (B, H, W) maps of labels, which stay as they
    are. The steps:

    1. sound becomes float32 with full scale at 1;
    2. each sample is brought to one level by one factor for all ears and all
       views of the sample, which leaves every difference between ears, and
       between clip and shifted clip, as it was recorded. (OmniAudio's authors
       use one constant per microphone and data set, which converters apply;
       the factor per sample is our choice, after 2.5D visual sound.) Silence
       stays as it is and is counted in ``silent``;
    3. in training the augmentations of waves, then the spectrograms, then
       those of spectrograms;
    4. pictures are normalised by ImageNet's mean and deviation.

    Args:
        spectrogram (dict, optional): Config of what makes (B, M, F, T') of
            (B, M, T). Defaults to ``dict(type='mmmultissl.Spectrogram')``.
        augments (Sequence[dict]): Configs of augmentations, in their order;
            only used in training, but for those that take a cue away.
            Defaults to none.
        target_rms (float, optional): Level of a sample; None leaves it as
            recorded. Defaults to 0.1.
        silence (float): Root mean square below which a sample is silent.
            Defaults to 1e-4, about three steps of 16 bits.
        mean (Sequence[float]): Of red, green, blue. Defaults to ImageNet's.
        std (Sequence[float]): Likewise.
        keep_waveforms (bool): Whether each audio view comes a second time, as
            ``{view}_waveform`` (B, M, T) float32, scaled and augmented like
            its spectrogram. Defaults to False.
        only (str, optional): Give this view alone, as a tensor, to models
            that take one input. Defaults to None: a dict of views.
        non_blocking (bool): Whether copies to the device do not wait.
            Defaults to True.
    """

    def __init__(self,
                 spectrogram: Optional[dict] = None,
                 augments: Sequence[dict] = (),
                 target_rms: Optional[float] = 0.1,
                 silence: float = 1e-4,
                 mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375),
                 keep_waveforms: bool = False,
                 only: Optional[str] = None,
                 non_blocking: bool = True) -> None:
        super().__init__(non_blocking=non_blocking)
        self.spectrogram = MODELS.build(
            spectrogram or dict(type='mmmultissl.Spectrogram'))
        built = [MODELS.build(augment) for augment in augments]
        self.wave_augments = nn.ModuleList(a for a in built
                                           if not a.on_spectrograms)
        self.spectrogram_augments = nn.ModuleList(a for a in built
                                                  if a.on_spectrograms)
        self.target_rms, self.silence = target_rms, silence
        self.keep_waveforms, self.only = keep_waveforms, only
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(
                name, torch.tensor(values).view(3, 1, 1), persistent=False)
        # Counts on the device; reading it waits, so that is left to others.
        self.register_buffer(
            'silent', torch.zeros((), dtype=torch.long), persistent=False)

    @torch.no_grad()
    def forward(self, data: dict, training: bool = False) -> Dict[str, Any]:
        """Preprocess a batch.

        Args:
            data (dict): ``inputs``, view to tensor (B, ...) or to a list of
                B tensors; ``data_samples``, B samples of ``BinauralClips``.
            training (bool): Whether to augment. Defaults to False.

        Returns:
            dict: ``inputs``, view to float32 (B, M, F, T') or (B, 3, H, W),
            and uint8 (B, H, W); ``data_samples``, with labels on the device.

        Raises:
            TypeError: If a view is none of these.
            ValueError: If there is no sound to augment.
            KeyError: If there is no view ``only``.
        """
        samples = list(data.get('data_samples') or [])
        views = {
            name: self._batched(name, tensors)
            for name, tensors in data['inputs'].items()
        }
        pictures = {n: v for n, v in views.items() if v.dtype == torch.uint8}
        audio = {n: v for n, v in views.items() if v.dtype == torch.int16}
        # mmengine calls this under autocast, whose numbers are too coarse.
        with torch.autocast(self.device.type, enabled=False):
            if audio:
                audio = self._levelled(audio)
            if training:
                self._need_sound(audio)
            for augment in self.wave_augments:
                if training or augment.always:
                    audio, pictures, samples = augment(audio, pictures,
                                                       samples)
            inputs = {n: self.spectrogram(v) for n, v in audio.items()}
            for augment in self.spectrogram_augments:
                if training or augment.always:
                    inputs, pictures, samples = augment(
                        inputs, pictures, samples)
            for name, images in pictures.items():
                inputs[name] = images if images.dim() == 3 else (
                    images - self.mean) / self.std
        if self.keep_waveforms:
            inputs.update({f'{n}_waveform': v for n, v in audio.items()})
        if self.only is not None:
            inputs = self._only(inputs)
        return dict(
            inputs=inputs, data_samples=self._with_labels_here(samples))

    def _batched(self, name: str, tensors: Union[Tensor,
                                                 List[Tensor]]) -> Tensor:
        if not isinstance(tensors, Tensor):
            tensors = torch.stack(list(tensors))
        shape = (tensors.dtype, tensors.dim())
        if shape not in ((torch.int16, 3), (torch.uint8, 4),
                         (torch.uint8, 3)):
            raise TypeError(
                f'BinauralDataPreprocessor got the view "{name}" as '
                f'{tensors.dtype} of shape {tuple(tensors.shape)}; it takes '
                'int16 (B, M, T), uint8 (B, 3, H, W) and uint8 (B, H, W), as '
                'BinauralClips makes them.')
        return self.cast_data(tensors)

    def _need_sound(self, audio: Dict[str, Tensor]) -> None:
        if not audio and (self.wave_augments or self.spectrogram_augments):
            raise ValueError(
                'BinauralDataPreprocessor is to augment, but the batch has no '
                'sound; add "clip" to the views of BinauralClips, or leave '
                'augments out.')

    def _levelled(self, audio: Dict[str, Tensor]) -> Dict[str, Tensor]:
        audio = {name: waves.float() for name, waves in audio.items()}
        factor = 1 / _FULL_SCALE
        if self.target_rms is not None:
            rms = joint_rms(audio)
            silent = rms < self.silence * _FULL_SCALE
            self.silent += silent.sum()
            factor = torch.where(silent, factor, self.target_rms / rms)
        return {name: waves.mul_(factor) for name, waves in audio.items()}

    def _only(self, inputs: Dict[str, Tensor]) -> Tensor:
        if self.only not in inputs:
            raise KeyError(
                f'BinauralDataPreprocessor is to give the view "{self.only}", '
                f'but the batch has {", ".join(inputs)}; add it to the views '
                'of BinauralClips.')
        return inputs[self.only]

    def _with_labels_here(self, samples: List[DataSample]) -> List[DataSample]:
        """Move class labels to the device, in one copy for the batch."""
        labelled = [n for n, s in enumerate(samples) if 'gt_label' in s]
        if not labelled or self.device.type == 'cpu':
            return samples
        labels = torch.stack([samples[n].gt_label for n in labelled])
        samples = list(samples)
        for n, label in zip(labelled, self.cast_data(labels)):
            samples[n] = copy.copy(samples[n])
            samples[n].set_field(label, 'gt_label', dtype=Tensor)
        return samples
