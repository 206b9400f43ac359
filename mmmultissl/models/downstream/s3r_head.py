# Copyright (c) mmmultissl contributors. All rights reserved.
"""Spatial sound super-resolution: the other headings from one."""
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from .pooling import PooledMap

_EARS = 2
# The encoder of the OmniAudio papers halves its input four times.
_HALVINGS = 4


@MODELS.register_module()
class S3RHead(BaseModule):
    """Hears what the ears of other heads at the same place would hear.

    From one binaural pair the waves of the other pairs are predicted: the
    task "S3R" of the paper and of the authors' earlier ones. From their code
    and figures: four up-convolutions behind the encoder, each with batch norm
    and ReLU; outputs brought to (-1, 1) by ``2 sigmoid(x) - 1``; the target
    is the STFT of the difference of two waves of the same ear; the loss is
    the mean squared error of real and imaginary parts. As in 2.5D Visual
    Sound (CVPR 2019) the output is a complex mask on the source's STFT. Our
    choice: every ear of every target has a mask of its own; an output
    convolution behind the four; maps are padded where a halving of the
    encoder dropped a row or column, so that frames stay where they are; and
    to what is decoded a vector over frequency is added for every clip and
    mask, made from the standardised mean of the map by a perceptron of one
    hidden layer, for a delay between heads turns phases by an amount that
    grows with frequency, and convolutions do not know the frequency they are
    at. With S of the source and D of the difference,

    D = mask * S;  x_target = x_source - iSTFT(D).

    Reads the views ``clip`` and ``others`` and their waveforms:
    ``BinauralClips(views=('clip', 'others'))`` and ``keep_waveforms=True`` of
    the preprocessor.

    Args:
        in_channels (int): Channels of the backbone's last map.
            Defaults to 256 (``OmniAudioNet``).
        channels (Sequence[int]): Of the four up-convolutions.
            Defaults to (256, 128, 64, 32).
        targets (int): Other pairs of the recordings, their number less one.
            Defaults to 3.
        mask_bound (float): Largest value of the mask's parts. With 1, as in
            the authors' code, ``1 - mask`` has no negative real part: a
            target whose phase differs from the source's by more than 90
            degrees, or that is twice as loud, is out of reach. Defaults to 1.
        hidden_channels (int): Hidden layer of the perceptron; 0 leaves it
            out, as in the authors' code. Defaults to 512.
        spectrogram (dict, optional): Config of the STFT. Its mode must be
            'complex'. Defaults to None: 512 bins, hop 160, window 400.
        norm_cfg (dict, optional): The norms. Defaults to dict(type='BN').
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If a setting cannot be used.
    """

    def __init__(self,
                 in_channels: int = 256,
                 channels: Sequence[int] = (256, 128, 64, 32),
                 targets: int = 3,
                 mask_bound: float = 1.,
                 hidden_channels: int = 512,
                 spectrogram: Optional[dict] = None,
                 norm_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if len(channels) != _HALVINGS or targets < 1 or mask_bound <= 0:
            raise ValueError(
                f'S3RHead got channels={tuple(channels)}, targets={targets} '
                f'and mask_bound={mask_bound}; give {_HALVINGS} widths, at '
                'least one target and a positive bound.')
        self.targets, self.mask_bound = targets, mask_bound
        self.spectrogram = MODELS.build(
            spectrogram or dict(type='mmmultissl.Spectrogram', mode='complex'))
        if self.spectrogram.mode != 'complex':
            raise ValueError(
                f'S3RHead got a spectrogram of mode {self.spectrogram.mode!r}'
                "; its masks need phases: set mode='complex'.")
        widths = [in_channels, *channels]
        self.ups = nn.ModuleList(
            ConvModule(
                before,
                after,
                4,
                stride=2,
                padding=1,
                conv_cfg=dict(type='deconv'),
                norm_cfg=norm_cfg or dict(type='BN'))
            for before, after in zip(widths, widths[1:]))
        parts = targets * _EARS * 2
        self.out = nn.Conv2d(widths[-1], parts, 3, padding=1)
        self.per_bin = nn.Sequential(
            PooledMap(in_channels), nn.Linear(in_channels, hidden_channels),
            nn.ReLU(inplace=True),
            nn.Linear(hidden_channels,
                      parts * (self.spectrogram.n_fft // 2 + 1)),
            nn.Unflatten(1, (parts, -1, 1))) if hidden_channels else None
        # Training starts from masks of 0, which copy the source.
        for layer in (self.out, self.per_bin and self.per_bin[-2]):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def masks(self, feature_map: Tensor, size: Sequence[int]) -> Tensor:
        """Decode the masks.

        Args:
            feature_map (Tensor): ``(N, in_channels, h, w)``.
            size (Sequence[int]): Bins and frames (F, T') of the STFT.

        Returns:
            Tensor: complex64, ``(N, targets, 2, F, T')``.
        """
        sizes = [tuple(size)]
        for _ in range(_HALVINGS):
            sizes.append(tuple(length // 2 for length in sizes[-1]))
        x = feature_map
        if x.shape[2:] != sizes[-1]:  # another backbone than OmniAudioNet
            x = F.interpolate(
                x, sizes[-1], mode='bilinear', align_corners=False)
        for up, wanted in zip(self.ups, sizes[-2::-1]):
            x = up(x)
            x = F.pad(x, (0, wanted[1] - x.size(3), 0, wanted[0] - x.size(2)))
        logits = self.out(x)
        if self.per_bin is not None:
            logits = logits + self.per_bin(feature_map)
        # Phases need more digits than autocast leaves.
        parts = self.mask_bound * (2 * torch.sigmoid(logits.float()) - 1)
        parts = parts.unflatten(1, (self.targets, _EARS, 2)).movedim(3, -1)
        return torch.view_as_complex(parts.contiguous())

    def differences(self, features: Tuple[Tensor, ...],
                    inputs: Dict[str, Tensor]) -> Tensor:
        """Predict the STFT of source less target.

        Args:
            features (tuple[Tensor]): Maps of the clips; the last is read.
            inputs (dict[str, Tensor]): With ``clip_waveform``,
                ``(N, 2, T)``.

        Returns:
            Tensor: complex64, ``(N, targets, 2, F, T')``.
        """
        source = self.spectrogram.stft(self._waves('clip', inputs))
        return self.masks(features[-1], source.shape[2:]) * source[:, None]

    def loss(self,
             features: Tuple[Tensor, ...],
             inputs: Dict[str, Tensor],
             data_samples: Optional[List[DataSample]] = None
             ) -> Dict[str, Tensor]:
        """Compare the differences with the true ones.

        Args:
            features (tuple[Tensor]): Maps of the clips.
            inputs (dict[str, Tensor]): With ``clip_waveform`` and
                ``others_waveform``, ``(N, 2 targets, T)``.
            data_samples (list[DataSample], optional): Not read.

        Returns:
            dict[str, Tensor]: ``loss``, and ``relative_error``: the same over
            that of copying the source, so 1 is a head that changes nothing.
        """
        with torch.autocast(features[-1].device.type, enabled=False):
            truth = self.spectrogram.stft(
                self._waves('clip', inputs)[:, None] - self._truth(inputs))
        error = self.differences(features, inputs) - truth
        loss = torch.view_as_real(error).square().mean()
        copied = torch.view_as_real(truth).square().mean()
        return dict(
            loss=loss,
            relative_error=loss.detach() / copied.clamp(min=1e-12))

    def predict(self,
                features: Tuple[Tensor, ...],
                inputs: Dict[str, Tensor],
                data_samples: Optional[List[DataSample]] = None
                ) -> List[DataSample]:
        """Make the waves of the other pairs.

        Args:
            features (tuple[Tensor]): Maps of the clips.
            inputs (dict[str, Tensor]): As for :meth:`loss`.
            data_samples (list[DataSample], optional): Those of the batch.

        Returns:
            list[DataSample]: The same samples with ``source_waves``
            ``(2, T)``, ``pred_waves`` and ``target_waves``
            ``(targets, 2, T)``, float32.
        """
        source = self._waves('clip', inputs)
        # Decoded as in training; the rest needs more digits.
        spectra = self.differences(features, inputs)
        with torch.autocast(source.device.type, enabled=False):
            tool = self.spectrogram
            waves = torch.istft(
                spectra.flatten(0, 2),
                tool.n_fft,
                tool.hop_length,
                tool.win_length,
                tool.window,
                length=source.size(-1))
        predicted = source[:, None] - waves.unflatten(0, spectra.shape[:3])
        samples = data_samples or [DataSample() for _ in source]
        fields = dict(
            source_waves=source,
            pred_waves=predicted,
            target_waves=self._truth(inputs))
        for name, values in fields.items():
            for sample, value in zip(samples, values):
                sample.set_field(value, name, dtype=Tensor)
        return samples

    def _truth(self, inputs: Dict[str, Tensor]) -> Tensor:
        others = self._waves('others', inputs)
        if others.size(1) != _EARS * self.targets:
            raise ValueError(
                f'S3RHead predicts {self.targets} other pairs, but the view '
                f'"others" has {others.size(1)} channels: set '
                f'model.head.targets={others.size(1) // _EARS}.')
        return others.unflatten(1, (self.targets, _EARS))

    @staticmethod
    def _waves(view: str, inputs: Dict[str, Tensor]) -> Tensor:
        name = f'{view}_waveform'
        if name not in inputs:
            raise ValueError(
                f'S3RHead reads "{name}": add "{view}" to the views of '
                'BinauralClips and set keep_waveforms=True of the data '
                'preprocessor.')
        return inputs[name]
