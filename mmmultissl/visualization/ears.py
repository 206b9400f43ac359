# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pictures of what both ears hear, and of how they differ."""
from typing import List

import cv2
import numpy as np

# Decibels below the loudest point that are shown, and those below which a
# point is too faint to compare the ears.
RANGE, _FAINT = 70., 45.
# Level difference, in decibels, of the strongest colour.
STRONG = 20.
# Left ear louder, right ear louder, alike; blue, green, red.
_LEFT, _RIGHT, _ALIKE = (11, 100, 217), (209, 127, 31), (240, 240, 240)


def ear_pictures(power: np.ndarray) -> List[np.ndarray]:
    """Draw the spectrograms of both ears.

    Args:
        power (np.ndarray): Power, (2, F, T').

    Returns:
        list[np.ndarray]: Left and right: BGR, (F, T', 3), uint8, low
        frequencies at the bottom, on one scale.
    """
    decibels = _decibels(power)
    shades = np.clip((decibels - decibels.max() + RANGE) / RANGE, 0, 1)
    return [
        cv2.applyColorMap((255 * shade).round().astype(np.uint8),
                          cv2.COLORMAP_MAGMA) for shade in shades
    ]


def difference_picture(power: np.ndarray) -> np.ndarray:
    """Draw by how much one ear is louder than the other.

    Args:
        power (np.ndarray): Power of the left and right ear, (2, F, T').

    Returns:
        np.ndarray: BGR, (F, T', 3), uint8, low frequencies at the bottom:
        orange where the left ear is louder, blue the right one, light grey
        neither, or where both are faint.
    """
    decibels = _decibels(power)
    heard = decibels.max(0) > decibels.max() - _FAINT
    more = np.where(heard, decibels[0] - decibels[1], 0) / STRONG
    strength = np.clip(np.abs(more), 0, 1)[..., None]
    side = np.where(more[..., None] > 0, _LEFT, _RIGHT)
    picture = side * strength + np.array(_ALIKE) * (1 - strength)
    return picture.round().astype(np.uint8)


def _decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, 1e-12))[:, ::-1]
