# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pillow's image operations, computed by OpenCV and torch.

mmpretrain's colour transforms hand an image to Pillow and take it back for
every operation, and Pillow computes one pixel at a time. The functions here
compute the same sums, roundings included, over whole arrays. Images are
``(H, W, 3)`` uint8 in the order blue, green, red; no function writes into its
argument.

The formulas are those of Pillow's documentation and of the papers named below.
How far a result may be from Pillow's is stated at each function and is what
``tests/test_datasets/test_views_equal_mmpretrain.py`` checks.
"""
import math
from typing import Tuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F

# Pillow cuts off the fraction where OpenCV rounds: it is half a level less.
# A value that is whole must not fall below itself through float's last bits.
_CUT = -0.5 + 2**-13
_LEVELS = np.arange(256, dtype=np.float32)
_TO_EIGHT_BITS = np.array([[255 / 360, 0, 0, -0.5], [0, 255, 0, _CUT],
                           [0, 0, 1, 0]])
# The order of ``np.random.permutation(4)`` in mmpretrain's ColorJitter.
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def resize(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Resize with a triangle filter that widens where the image shrinks.

    Pillow's bilinear filter. torch has it for uint8 with vector instructions.
    At most 1 level from Pillow.

    Args:
        image (np.ndarray): The image.
        size (tuple[int, int]): Height and width of the result.

    Returns:
        np.ndarray: The resized image, contiguous.
    """
    if image.shape[:2] == tuple(size):
        return image.copy()
    # A batch first, or its strides would not count as channels-last, for
    # which torch has vector code.
    batch = torch.from_numpy(np.ascontiguousarray(image))[None]
    resized = F.interpolate(
        batch.permute(0, 3, 1, 2), tuple(size), mode='bilinear',
        antialias=True)
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def luminance(image: np.ndarray) -> np.ndarray:
    """Luminance by ITU-R 601-2, rounded to whole levels.

    At most 1 level from Pillow, whose weights have one more bit.

    Args:
        image (np.ndarray): The image.

    Returns:
        np.ndarray: ``(H, W)`` uint8.
    """
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _blend_with_level(image: np.ndarray, level: int,
                      factor: float) -> np.ndarray:
    """``level + factor * (image - level)``, cut off, as a table."""
    table = level + np.float32(factor) * (_LEVELS - level)
    return cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8))


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black. Equal to Pillow.

    Args:
        image (np.ndarray): The image.
        factor (float): 0 is black, 1 the image itself.

    Returns:
        np.ndarray: The adjusted image.
    """
    return _blend_with_level(image, 0, factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the image's mean luminance.

    Equal to Pillow except where the mean lies within 0.01 of a half: then it
    may be rounded the other way, which makes 1 level for factors in [0, 2].

    Args:
        image (np.ndarray): The image.
        factor (float): 0 is grey, 1 the image itself.

    Returns:
        np.ndarray: The adjusted image.
    """
    mean = int(cv2.mean(luminance(image))[0] + 0.5)
    return _blend_with_level(image, mean, factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the luminance of every pixel. At most 1 level from Pillow.

    Args:
        image (np.ndarray): The image.
        factor (float): 0 is grey, 1 the image itself.

    Returns:
        np.ndarray: The adjusted image.
    """
    grey = cv2.cvtColor(luminance(image), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(image, factor, grey, 1 - factor, _CUT)


def hue_shift(factor: float) -> int:
    """The whole steps by which a hue factor turns the circle.

    Args:
        factor (float): Part of a turn, in [-0.5, 0.5].

    Returns:
        int: Steps in [0, 256), as torchvision and mmcv count them.
    """
    return int(factor * 255) % 256


def adjust_hue(image: np.ndarray, factor: float) -> np.ndarray:
    """Turn the hue by whole steps of an eight-bit circle.

    As in Pillow, hue and saturation are cut off to eight bits on the way.

    Args:
        image (np.ndarray): The image.
        factor (float): Part of a turn, in [-0.5, 0.5].

    Returns:
        np.ndarray: The adjusted image.
    """
    # Hue in degrees and saturation up to 1, which OpenCV's own eight-bit
    # conversion would round.
    hsv = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_BGR2HSV)
    hsv = cv2.convertScaleAbs(cv2.transform(hsv, _TO_EIGHT_BITS))
    table = np.repeat(_LEVELS.astype(np.uint8)[:, None], 3, axis=1)
    table[:, 0] += np.uint8(hue_shift(factor))
    # The way back takes 255 steps for the circle, as Pillow does.
    return cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2BGR_FULL)


def to_grey(image: np.ndarray, weights: Tuple[float, float,
                                              float]) -> np.ndarray:
    """Three equal channels of a weighted sum, cut off to whole levels.

    At most 1 level from mmcv's ``RandomGrayscale``.

    Args:
        image (np.ndarray): The image.
        weights (tuple[float, float, float]): Of the three channels; they are
            normalised to a sum of one.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8.
    """
    row = [weight / sum(weights) for weight in weights]
    grey = cv2.transform(image, np.array([row + [_CUT]], dtype=np.float64))
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def box_kernel(sigma: float) -> np.ndarray:
    """One of the three equal boxes whose succession has a given deviation.

    The extended box filter of Gwosdek, Grewenig, Bruhn and Weickert,
    "Theoretical Foundations of Gaussian Convolution by Extended Box
    Filtering" (SSVM 2011): ``2 l + 1`` full weights and a part ``a`` of one at
    each end, such that three of them have the variance ``sigma ** 2``.

    Args:
        sigma (float): Standard deviation of all three together, in pixels.

    Returns:
        np.ndarray: ``(2 l + 3, )`` float64 with sum 1.
    """
    variance = sigma**2 / 3
    l = int((math.sqrt(12 * variance + 1) - 1) / 2)  # noqa: E741
    # From the variance of the box, solved for the part at the ends.
    part = (2 * l + 1) * (3 * variance - l * (l + 1)) / (
        6 * ((l + 1)**2 - variance))
    kernel = np.ones(2 * l + 3)
    kernel[[0, -1]] = part
    return kernel / (2 * l + 1 + 2 * part)


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by three extended boxes along each side.

    Before each box the border is repeated, and after it the result is rounded,
    as in Pillow; at most 1 level from it, in one number of ten thousand.

    Args:
        image (np.ndarray): The image.
        sigma (float): Standard deviation, in pixels.

    Returns:
        np.ndarray: The blurred image.
    """
    kernel = box_kernel(sigma)
    for line in (kernel[None], kernel[:, None]):
        for _ in range(3):
            image = cv2.filter2D(
                image, -1, line, borderType=cv2.BORDER_REPLICATE)
    return image
