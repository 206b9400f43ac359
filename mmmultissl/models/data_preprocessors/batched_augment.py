# Copyright (c) mmmultissl contributors. All rights reserved.
"""Augmentations of a whole batch, every image with numbers of its own.

The same sums as :mod:`mmmultissl.datasets.transforms.pillow_arithmetic`,
written for a device: images are ``(N, 3, H, W)`` float32 in [0, 255], blue,
green, red, and hold whole numbers before and after each function, because
Pillow stores whole numbers between its operations and so must this, if the
views are to be the same. ``numbers`` are on the host; so what has to be done
for which image is known without asking the device.
"""
from typing import List, Sequence

import numpy as np
import torch
from torch import Tensor

from mmmultissl.datasets.transforms.pillow_arithmetic import (CONTRAST, HUE,
                                                              SATURATION,
                                                              box_kernel)

# ITU-R 601-2 in the order blue, green, red, with Pillow's 16 bits.
_LUMINANCE = (7471 / 65536, 38470 / 65536, 19595 / 65536)
# Which of (value, rising, low, falling) is blue, green and red in each sixth
# of the circle, from red on.
_SEXTANTS = ((2, 1, 0), (2, 0, 3), (1, 0, 2), (0, 3, 2), (0, 2, 1), (3, 2, 0))


def _to_device(values: Sequence, device: torch.device, dtype=None) -> Tensor:
    """Copy host numbers without waiting for what the device still does."""
    tensor = torch.as_tensor(values, dtype=dtype)
    if device.type == 'cuda':
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _per_image(values: Sequence, images: Tensor) -> Tensor:
    column = _to_device(values, images.device, torch.float32)
    return column.view(-1, 1, 1, 1)


def luminance(images: Tensor) -> Tensor:
    """Luminance, rounded to whole levels.

    Args:
        images (Tensor): The images.

    Returns:
        Tensor: ``(N, 1, H, W)``.
    """
    weights = _to_device(_LUMINANCE, images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).add_(0.5).floor_()


def jitter(images: Tensor, order: Tensor, factors: Tensor) -> Tensor:
    """Adjust brightness, contrast, saturation and hue, in any order.

    The first three blend an image with black, its mean luminance or its
    luminance, so that one formula serves all images whichever of them comes
    for each; hue is computed for those images only that turn theirs now.

    Args:
        images (Tensor): The images.
        order (Tensor): ``(N, 4)`` on the host: what comes first, second, ...;
            0 to 3 in the order above.
        factors (Tensor): ``(N, 4)`` on the host, in that numbering.

    Returns:
        Tensor: The adjusted images.
    """
    order = order.long()
    for turn in order.unbind(1):
        now = factors.gather(1, turn[:, None])[:, 0]
        grey = luminance(images)
        # Of whole numbers; the mean is rounded to the nearest level.
        mean = grey.mean((1, 2, 3), keepdim=True).add_(0.5).floor_()
        other = torch.where(
            _per_image(turn == CONTRAST, images) > 0, mean,
            grey * _per_image(turn == SATURATION, images))
        blend = torch.where(turn == HUE, 1., now.float())
        images = (other + _per_image(blend, images) *
                  (images - other)).clamp_(0, 255).floor_()
        turned = torch.nonzero((turn == HUE) & (now != 0))[:, 0]
        if len(turned):
            which = _to_device(turned, images.device)
            images[which] = turn_hue(images[which],
                                     _per_image(now[turned], images)[:, 0])
    return images


def turn_hue(images: Tensor, steps: Tensor) -> Tensor:
    """Turn the hue by whole steps of an eight-bit circle.

    Hue and saturation are cut off to eight bits between the two changes of
    colour space, as Pillow stores them.

    Args:
        images (Tensor): The images.
        steps (Tensor): ``(N, 1, 1)`` steps in [0, 256).

    Returns:
        Tensor: The images with turned hue.
    """
    blue, green, red = images.unbind(1)
    value = images.amax(1)
    chroma = value - images.amin(1)
    safe = chroma.clamp(min=1)
    # In sixths of the circle.
    hue = torch.where(
        red == value, (green - blue) / safe,
        torch.where(green == value, 2 + (blue - red) / safe,
                    4 + (red - green) / safe))
    hue = (hue / 6 + 1).remainder_(1).mul_(255).floor_()
    hue = torch.where(chroma > 0, hue, 0.)
    # The circle has 255 steps but is stored in 256: so do Pillow and mmcv.
    hue = (hue + steps).remainder_(256)
    saturation = (chroma / value.clamp(min=1)).mul_(255).floor_().div_(255)

    sixth = hue.mul_(6 / 255)
    part = sixth.floor()
    fraction = sixth - part
    low = value * (1 - saturation)
    falling = value * (1 - saturation * fraction)
    rising = value * (1 - saturation * (1 - fraction))
    choices = torch.stack((value, rising, low, falling)).add_(0.5).floor_()
    picks = _to_device(_SEXTANTS, images.device)
    picks = picks[part.long().remainder_(6)].movedim(-1, 0)
    return choices.gather(0, picks).movedim(0, 1)


def to_grey(images: Tensor, weights: Tensor) -> Tensor:
    """Replace the colours of some images by a weighted sum, cut off.

    Args:
        images (Tensor): The images.
        weights (Tensor): ``(N, 3)`` on the host; zeros keep the colours.

    Returns:
        Tensor: The images.
    """
    total = weights.sum(1, keepdim=True)
    rows = _to_device((weights / total.clamp(min=1e-12)).float(),
                      images.device)
    # A whole number must not fall below itself through float's last bits.
    grey = (images * rows[:, :, None, None]).sum(1, keepdim=True)
    grey = grey.add_(2**-10).floor_()
    return torch.where(_per_image(total[:, 0] > 0, images) > 0, grey, images)


def box_matrices(sigmas: Tensor, size: int, device: torch.device) -> Tensor:
    """One extended box along a line as a matrix; the ends are repeated.

    Args:
        sigmas (Tensor): ``(N, )`` standard deviations of three such boxes
            together, in pixels, on the host.
        size (int): Length of the line.
        device (torch.device): Where the matrices are needed.

    Returns:
        Tensor: ``(N, size, size)``; times a column is that column, blurred.
    """
    kernels = _box_kernels(sigmas.tolist())
    reach = len(kernels[0]) // 2
    kernels = _to_device(kernels, device, torch.float32)
    rows = torch.arange(size, device=device)
    box = kernels.new_zeros(len(kernels), size, size)
    for offset, weight in zip(range(-reach, reach + 1), kernels.unbind(1)):
        columns = (rows + offset).clamp_(0, size - 1)
        box[:, rows, columns] += weight[:, None]
    return box


def _box_kernels(sigmas: Sequence[float]) -> List[list]:
    """The boxes of several deviations, as long as the longest of them."""
    kernels = [box_kernel(sigma) for sigma in sigmas]
    reach = max(len(kernel) for kernel in kernels) // 2
    return [
        np.pad(kernel, reach - len(kernel) // 2).tolist()
        for kernel in kernels
    ]


def gaussian_blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur some images by three extended boxes along each side.

    Rounded after each box, as in Pillow.

    Args:
        images (Tensor): The images.
        sigmas (Tensor): ``(N, )`` on the host; 0 leaves an image as it is.

    Returns:
        Tensor: The images.
    """
    blurred = torch.nonzero(sigmas)[:, 0]
    if len(blurred) == 0:
        return images
    height, width = images.shape[-2:]
    which = _to_device(blurred, images.device)
    down = box_matrices(sigmas[blurred], height, images.device)
    across = down if width == height else box_matrices(
        sigmas[blurred], width, images.device)
    lines = images[which]
    for _ in range(3):
        lines = (lines @ across[:, None].mT).add_(0.5).floor_()
    for _ in range(3):
        lines = (down[:, None] @ lines).add_(0.5).floor_()
    return images.index_copy(0, which, lines)


def flip(images: Tensor, flips: Tensor) -> Tensor:
    """Mirror some images.

    Args:
        images (Tensor): The images.
        flips (Tensor): ``(N, )`` on the host; nonzero mirrors.

    Returns:
        Tensor: The images.
    """
    return torch.where(_per_image(flips, images) > 0, images.flip(-1), images)
