# Copyright (c) mmmultissl contributors. All rights reserved.
"""What moves in front of a camera that stands still.

For recordings that come without masks. That foreground means what differs
from the background is the authors' idea; the median, the threshold and the
sizes are our choice.
"""
from typing import List, Sequence

import cv2
import numpy as np

from mmmultissl.datasets.binaural.convert.unusable import UnusableFile

# Why a mask without any foreground is left out: the index names none then.
NO_FOREGROUND = 'nothing in the foreground'
# Fewer frames do not show what lies behind the objects.
_FEWEST = 5
# More do not make a better median.
_MOST = 61
# Difference of a colour, of 255, that noise and codecs do not make.
_THRESHOLD = 30
# What is smaller than this, as a part of the height, is no object.
_SMALLEST = 1 / 60


def median_background(frames: Sequence[np.ndarray]) -> np.ndarray:
    """What is seen at each place most of the time.

    Args:
        frames (Sequence[np.ndarray]): uint8, (H, W, 3) each, of a camera that
            stands still; up to 61 of them, evenly spread, are looked at.

    Returns:
        np.ndarray: uint8, (H, W, 3).

    Raises:
        UnusableFile: If there are fewer than five, or their sizes differ.
    """
    if len(frames) < _FEWEST:
        raise UnusableFile('too few frames for a background', f'{len(frames)}')
    if len({frame.shape for frame in frames}) > 1:
        raise UnusableFile('frames of different sizes')
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), _MOST))
    stack = np.stack([frames[round(i)] for i in chosen])
    return np.median(stack, axis=0).astype(np.uint8)


def difference_masks(frames: Sequence[np.ndarray]) -> List[np.ndarray]:
    """Mark what differs from the background in each frame.

    The largest difference of the three colours, after slight blurring, is
    compared with 30 of 255; specks smaller than a 60th of the height are
    removed.

    Args:
        frames (Sequence[np.ndarray]): As above.

    Returns:
        list[np.ndarray]: uint8, 0 or 255, (H, W) for each frame.

    Raises:
        UnusableFile: As above.
    """
    background = cv2.blur(median_background(frames), (3, 3))
    size = max(1, round(background.shape[0] * _SMALLEST))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    masks = []
    for frame in frames:
        apart = cv2.absdiff(cv2.blur(frame, (3, 3)), background).max(axis=2)
        marked = (apart > _THRESHOLD).astype(np.uint8) * 255
        masks.append(cv2.morphologyEx(marked, cv2.MORPH_OPEN, shape))
    return masks
