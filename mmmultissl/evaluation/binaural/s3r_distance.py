# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far predicted sound of other headings is from the recorded one."""
from typing import Any, Dict, List, Optional, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mmmultissl.registry import METRICS, MODELS

_NAMES = ('stft', 'env')
_GUESSES = ('', 'copy_', 'mono_', 'silence_')


@METRICS.register_module()
class S3RDistance(BaseMetric):
    """STFT and envelope distance of predicted binaural pairs.

    The two distances of 2.5D Visual Sound's evaluation (CVPR 2019), smaller
    is better, here meant over the target pairs and then over the clips:

    - ``stft``: mean squared difference of real and imaginary parts, summed
      over the two ears;
    - ``env``: root mean squared difference of the envelopes (magnitudes of
      the analytic signals), summed over the two ears.

    The same of three baselines stands beside them: ``copy_*`` takes the
    source pair itself, which is what predicting no difference gives,
    ``mono_*`` the mean of its ears for both ears, and ``silence_*`` zeros.
    The last is there because waves of like level and unlike phase are twice
    as far from each other as from silence by ``stft``: a head that has learnt
    nothing but to be quiet is below copy there, and above it by ``env``.
    ``*_step{k}`` are the figures of the
    pair k steps from the source. Waves are compared at the level that the
    preprocessor gave them. That ``mono`` and ``silence`` are told is our
    choice.

    Args:
        spectrogram (dict, optional): Config of the STFT. Defaults to None:
            512 bins, hop 160, window 400, those of 2.5D Visual Sound.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """
    default_prefix = 's3r'

    def __init__(self, spectrogram: Optional[dict] = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.spectrogram = MODELS.build(
            spectrogram or dict(type='mmmultissl.Spectrogram', mode='complex'))

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure the distances of a batch.

        Args:
            data_batch (Any): Not read.
            data_samples (Sequence[dict]): With ``source_waves`` ``(2, T)``,
                ``pred_waves`` and ``target_waves`` ``(targets, 2, T)``.
        """
        source, predicted, target = (
            torch.stack([sample[name] for sample in data_samples]).detach()
            for name in ('source_waves', 'pred_waves', 'target_waves'))
        self.spectrogram.to(target.device)
        source = source[:, None]
        mono = source.mean(2, keepdim=True).expand_as(source)
        # Each transform once: what does not depend on the target is broadcast.
        guesses = (predicted, source, mono, torch.zeros_like(source))
        columns = []
        for transform, distance in ((self.spectrogram.stft, _stft_distance),
                                    (envelope, _envelope_distance)):
            truth = transform(target)
            columns.append(
                torch.stack([distance(transform(g), truth) for g in guesses],
                            1))
        # (N, guesses, distances, targets)
        self.results += list(torch.stack(columns, 2).cpu())

    def compute_metrics(self, results: List[Tensor]) -> Dict[str, float]:
        """Average over the clips.

        Args:
            results (list[Tensor]): What :meth:`process` kept, of all clips.

        Returns:
            dict[str, float]: As in the description of the class.
        """
        mean = torch.stack(results).double().mean(0)
        metrics = {}
        for figures, guess in zip(mean, _GUESSES):
            for per_target, name in zip(figures, _NAMES):
                metrics[f'{guess}{name}'] = per_target.mean().item()
        for figures, guess in zip(mean, _GUESSES):
            for per_target, name in zip(figures, _NAMES):
                for step, value in enumerate(per_target.tolist(), 1):
                    metrics[f'{guess}{name}_step{step}'] = value
        return metrics


def stft_distance(predicted: Tensor, target: Tensor,
                  spectrogram: torch.nn.Module) -> Tensor:
    """Mean squared difference of the STFTs, summed over ears.

    Args:
        predicted (Tensor): Waves, ``(..., 2, T)``.
        target (Tensor): Likewise.
        spectrogram (nn.Module): A ``Spectrogram``, whose STFT is taken.

    Returns:
        Tensor: ``(...)``.
    """
    return _stft_distance(
        spectrogram.stft(predicted), spectrogram.stft(target))


def _stft_distance(predicted: Tensor, target: Tensor) -> Tensor:
    parts = torch.view_as_real(predicted - target)
    return parts.square().mean((-3, -2, -1)).sum(-1)


def envelope_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Root mean squared difference of the envelopes, summed over ears.

    Args:
        predicted (Tensor): Waves, ``(..., 2, T)``.
        target (Tensor): Likewise.

    Returns:
        Tensor: ``(...)``.
    """
    return _envelope_distance(envelope(predicted), envelope(target))


def _envelope_distance(predicted: Tensor, target: Tensor) -> Tensor:
    return (predicted - target).square().mean(-1).sqrt().sum(-1)


def envelope(waves: Tensor) -> Tensor:
    """Magnitude of the analytic signal, by the Hilbert transform.

    Args:
        waves (Tensor): ``(..., T)``.

    Returns:
        Tensor: ``(..., T)``.
    """
    length = waves.size(-1)
    spectrum = torch.fft.rfft(waves)
    # Positive frequencies double, 0 and the highest of an even length stay;
    # negative ones are left out, which ifft fills with zeros.
    spectrum[..., 1:(length + 1) // 2] *= 2
    return torch.fft.ifft(spectrum, n=length).abs()
