# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pictures of the views of a binaural batch, and words for its labels."""
import math
from typing import List

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from .ears import difference_picture, ear_pictures

_LINE_BETWEEN = 2


def sound_pixels(maps: Tensor, mode: str) -> np.ndarray:
    """Draw spectrograms: of each pair left ear, right ear, their difference.

    Args:
        maps (Tensor): What the network gets, see
            :class:`~mmmultissl.models.Spectrogram`.
        mode (str): The mode of that.

    Returns:
        np.ndarray: RGB, uint8, (N, H, T', 3), one below the other.
    """
    if mode == 'complex':
        power = maps.unflatten(1, (-1, 2)).square().sum(2)
    else:
        power = maps.exp()
    return np.stack([_stacked(each) for each in power.cpu().numpy()])


def _stacked(power: np.ndarray) -> np.ndarray:
    """Draw all pairs of a sample, (2 P, F, T')."""
    rows: List[np.ndarray] = []
    for ears in power.reshape(-1, 2, *power.shape[1:]):
        for picture in (*ear_pictures(ears), difference_picture(ears)):
            line = np.full((_LINE_BETWEEN, *picture.shape[1:]), 255, np.uint8)
            rows += [picture, line]
    # OpenCV's colours begin with blue.
    return np.concatenate(rows[:-1])[..., ::-1]


def map_pixels(maps: Tensor) -> np.ndarray:
    """Draw maps of labels: each number has a shade, 0 is black.

    Args:
        maps (Tensor): uint8, (N, H, W).

    Returns:
        np.ndarray: RGB, uint8, (N, H, W, 3).
    """
    judged = maps[maps < 255]
    most = max(int(judged.max()) if judged.numel() else 0, 1)
    shades = torch.where(maps < 255, maps.float() * (200 / most), 255.)
    return shades.round().to(torch.uint8)[..., None].expand(
        -1, -1, -1, 3).cpu().numpy()


def label_words(sample: DataSample, sample_rate: int) -> List[str]:
    """Say what a clip's labels are, after the augmentation.

    Args:
        sample (DataSample): Of ``BinauralClips``.
        sample_rate (int): In Hz.

    Returns:
        list[str]: One line for each.
    """
    lines = [f'{sample.recording} at {sample.start / sample_rate:g} s',
             f'head turned to {sample.heading:g}°']
    if not math.isnan(sample.azimuth):
        lines.append(f'loudest source at {sample.azimuth:.0f}°')
    lines += [f'rotated by {sample.rotation_angle:g}°',
              f'shifted by {sample.gap:+d} clips']
    if sample.swap:
        lines.append('mirrored')
    return lines
