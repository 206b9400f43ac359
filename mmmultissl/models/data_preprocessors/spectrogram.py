# Copyright (c) mmmultissl contributors. All rights reserved.
"""Spectrograms of a whole batch, on the device that trains."""
from typing import Optional

import torch
import torch.nn as nn
from torch import Tensor

from mmmultissl.registry import MODELS

MODES = ('log_power', 'mel', 'complex')


@MODELS.register_module()
class Spectrogram(nn.Module):
    """Short-time Fourier transform of all microphones of a batch.

    The default is the input of OmniAudio's networks, as read in the authors'
    code: 512 bins, hop 160, Hann window of 400 samples in their middle,
    frames centred, ``log(max(re^2 + im^2, 1e-5))``, no further
    normalisation. It equals ``librosa.stft`` with ``pad_mode='reflect'``,
    which was librosa's default when that code was written.

    ========== =================== ========================================
    mode       output              what
    ========== =================== ========================================
    log_power  (B, M, F, T')       log power, F = n_fft / 2 + 1
    mel        (B, M, n_mels, T')  log of mel-weighted power, same floor
    complex    (B, 2 M, F, T')     re, im of the first microphone, re, im of
                                   the second one, ...
    ========== =================== ========================================

    with T' = 1 + T // hop_length. It is computed in float32 whatever autocast
    says: squares of 16-bit floats end at 6e-5.

    Args:
        mode (str): As above. Defaults to 'log_power'.
        n_fft (int): Length of the transform. Defaults to 512.
        hop_length (int): Samples between frames. Defaults to 160.
        win_length (int): Samples of the Hann window. Defaults to 400.
        floor (float): Least power before the logarithm. Defaults to 1e-5.
            With 'mel' a band is the mean power of its bins times ``n_fft /
            sample_rate``; multiply the floor by it too, or faint bands of
            both ears become alike.
        n_mels (int): Bands of 'mel'. Defaults to 64 (our choice).
        sample_rate (int, optional): Needed for 'mel'. Defaults to None.
        f_min (float): Lowest frequency of 'mel', in Hz. Defaults to 0.
        f_max (float, optional): Highest one. Defaults to None: half the rate.

    Raises:
        ValueError: If a setting cannot be used.
        ImportError: If mode is 'mel' and torchaudio is not installed.
    """

    def __init__(self,
                 mode: str = 'log_power',
                 n_fft: int = 512,
                 hop_length: int = 160,
                 win_length: int = 400,
                 floor: float = 1e-5,
                 n_mels: int = 64,
                 sample_rate: Optional[int] = None,
                 f_min: float = 0.,
                 f_max: Optional[float] = None) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f'Spectrogram got mode={mode!r}; give one of '
                             f'{", ".join(MODES)}.')
        if not 0 < win_length <= n_fft or hop_length < 1:
            raise ValueError(
                f'Spectrogram got n_fft={n_fft}, win_length={win_length}, '
                f'hop_length={hop_length}; the window must fit into n_fft '
                'and the hop be at least 1.')
        self.mode = mode
        self.n_fft, self.hop_length = n_fft, hop_length
        self.win_length, self.floor = win_length, floor
        # Follow from the settings, so they are not in checkpoints.
        self.register_buffer(
            'window', torch.hann_window(win_length), persistent=False)
        if mode == 'mel':
            bands = _mel_bands(n_fft, n_mels, sample_rate, f_min, f_max)
            self.register_buffer('bands', bands, persistent=False)

    def stft(self, waves: Tensor) -> Tensor:
        """Transform, whatever the mode.

        Args:
            waves (Tensor): (..., T) float.

        Returns:
            Tensor: (..., F, T') complex64.

        Raises:
            ValueError: If T is not longer than half of n_fft.
        """
        if waves.size(-1) <= self.n_fft // 2:
            raise ValueError(
                f'A spectrogram of {self.n_fft} bins needs more than '
                f'{self.n_fft // 2} samples, but the clips have '
                f'{waves.size(-1)}; make them longer.')
        flat = waves.reshape(-1, waves.size(-1)).float()
        # Mirrored at both ends, as torch.stft does by itself, but slower.
        edge = self.n_fft // 2
        flat = torch.cat([
            flat[:, 1:edge + 1].flip(1), flat, flat[:, -edge - 1:-1].flip(1)
        ], 1)
        flat = torch.stft(
            flat,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.window,
            center=False,
            return_complex=True)
        return flat.unflatten(0, waves.shape[:-1])

    def forward(self, waves: Tensor) -> Tensor:
        """Make the spectrograms.

        Args:
            waves (Tensor): (B, M, T) float.

        Returns:
            Tensor: float32, shaped by the mode.
        """
        with torch.autocast(waves.device.type, enabled=False):
            if waves.device.type != 'cpu':
                return self._make(waves).contiguous()
            # One by one, what is in between stays in the cache: a third of
            # the time.
            made = None
            for number, wave in enumerate(waves.split(1)):
                maps = self._make(wave)[0]
                if made is None:
                    made = maps.new_empty(len(waves), *maps.shape)
                made[number] = maps
            return made

    def _make(self, waves: Tensor) -> Tensor:
        # (B, M, F, T', 2)
        parts = torch.view_as_real(self.stft(waves))
        if self.mode == 'complex':
            return parts.movedim(-1, 2).flatten(1, 2)
        power = _power(parts)
        if self.mode == 'mel':
            power = self.bands @ power
        return power.clamp_(min=self.floor).log_()


def _power(parts: Tensor) -> Tensor:
    """Sum of the squares of real and imaginary parts, (..., 2) to (...)."""
    if parts.requires_grad:
        return parts.square().sum(-1)
    squares = parts.square_()
    # torch.stft gives time by frequency in memory; this turns it in passing.
    return torch.add(
        squares[..., 0],
        squares[..., 1],
        out=parts.new_empty(parts.shape[:-1]))


def _mel_bands(n_fft: int, n_mels: int, sample_rate: Optional[int],
               f_min: float, f_max: Optional[float]) -> Tensor:
    """Slaney's triangular bands, as librosa's default, (n_mels, F)."""
    if sample_rate is None:
        raise ValueError("Spectrogram of mode 'mel' needs the sample_rate; "
                         'give that of the data set.')
    try:
        from torchaudio.functional import melscale_fbanks
    except ImportError:
        raise ImportError("Spectrogram of mode 'mel' needs torchaudio; "
                          'install the release of your torch.') from None
    bands = melscale_fbanks(
        n_fft // 2 + 1,
        f_min,
        sample_rate / 2 if f_max is None else f_max,
        n_mels,
        sample_rate,
        norm='slaney',
        mel_scale='slaney')
    return bands.T.contiguous()
