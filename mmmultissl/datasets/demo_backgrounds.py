# Copyright (c) mmmultissl contributors. All rights reserved.
"""What generated scenes show behind their things: landscapes and rooms.

All of it is our choice.
"""
from typing import Tuple

import cv2
import numpy as np

from mmmultissl.datasets.demo_shapes import vary

# Blue, green, red. Grass, dry grass, sand, asphalt, soil, water, snow.
GROUNDS = ((75., 115., 95.), (95., 130., 140.), (140., 165., 185.),
           (112., 112., 114.), (80., 100., 125.), (140., 122., 95.),
           (215., 212., 208.))
# Overhead and at the horizon: clear, hazy, overcast, dusk.
_SKIES = (((195., 150., 105.), (225., 212., 195.)),
          ((205., 185., 165.), (220., 218., 212.)),
          ((165., 162., 158.), (205., 203., 200.)),
          ((135., 105., 105.), (150., 175., 215.)))
_WALLS = ((205., 210., 215.), (170., 185., 195.), (190., 180., 165.),
          (160., 175., 165.), (150., 155., 185.))
_FLOORS = ((85., 120., 155.), (120., 125., 130.), (110., 150., 185.),
           (95., 100., 120.))


def cloud(rng: np.random.Generator,
          height: int,
          width: int,
          coarse: int = 3,
          octaves: int = 5) -> np.ndarray:
    """Make smooth noise with detail at several scales.

    Args:
        rng (np.random.Generator): The source of randomness.
        height (int): In pixels.
        width (int): In pixels.
        coarse (int): Cells of the coarsest scale. Defaults to 3.
        octaves (int): Number of scales, each twice as fine. Defaults to 5.

    Returns:
        np.ndarray: About -1 to 1, float32, shape (height, width).
    """
    total = np.zeros((height, width), np.float32)
    weight = 0.
    for octave in range(octaves):
        cells = min(coarse * 2**octave, height, width)
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        share = .6**octave
        total += share * cv2.resize(
            grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight += share
    return total / weight * 1.8


def _tint(rng: np.random.Generator, options: tuple) -> np.ndarray:
    base = options[int(rng.integers(len(options)))]
    return np.array(vary(rng, base, 14.), np.float32)


def _ground(rng: np.random.Generator, size: int, horizon: float,
            options: tuple, lines: bool) -> np.ndarray:
    """Paint a plane that recedes to the horizon; above it, nothing of use."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    near = np.clip((y - horizon) / (size - horizon), 0, 1)
    # A plane under perspective: its coordinates go with one over the depth.
    along = (x - size / 2) / (near + .15)
    away = size / (near + .15)
    texture = cloud(rng, size, size, 6, 6)
    seen = cv2.remap(
        texture,
        .3 * along + size / 2,
        .25 * away,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT)
    field = 1 + rng.uniform(.1, .3) * (.35 + .65 * near) * seen
    if lines:
        # Planks that run away from us, or tiles.
        width = rng.uniform(.15, .35) * size
        gap = np.mod(along + rng.uniform(0, width), width) < .05 * width
        if rng.random() < .5:
            gap |= np.mod(away, .8 * width) < .05 * width
        field *= 1 - .2 * cv2.blur(gap.astype(np.float32), (3, 3))
    shade = field * (.85 + .2 * near)
    return _tint(rng, options) * shade[..., None]


def _behind(rng: np.random.Generator, canvas: np.ndarray, low: float,
            high: float, tints: int) -> None:
    """Paint blurred trees, houses or furniture between two heights."""
    size = canvas.shape[0]
    layer = canvas.copy()
    for _ in range(tints):
        centre = (int(rng.uniform(0, size)), int(rng.uniform(low, high)))
        axes = (int(rng.uniform(.02, .1) * size),
                int(rng.uniform(.03, .16) * size))
        grey = rng.uniform(60., 190.)
        shade = vary(rng, (grey, ) * 3, 30.)
        if rng.random() < .5:
            cv2.ellipse(layer, centre, axes, 0, 0, 360, shade, -1)
        else:
            cv2.rectangle(layer, (centre[0] - axes[0], centre[1] - axes[1]),
                          (centre[0] + axes[0], centre[1] + axes[1]), shade,
                          -1)
    cv2.GaussianBlur(
        layer, (0, 0), rng.uniform(.008, .025) * size, dst=canvas)


def landscape(rng: np.random.Generator,
              size: int,
              grounds: Tuple[int, ...] = tuple(range(len(GROUNDS)))
              ) -> Tuple[np.ndarray, float]:
    """Paint sky, hills, blurred trees and houses, and ground.

    Args:
        rng (np.random.Generator): The source of randomness.
        size (int): In pixels.
        grounds (tuple[int]): Which of ``GROUNDS`` may be there.
            Defaults to all.

    Returns:
        tuple[np.ndarray, float]: Float32 image, shape (size, size, 3), about
        0 to 255, and where the ground begins, in pixels from the top.
    """
    horizon = rng.uniform(.3, .55) * size
    height = np.arange(size, dtype=np.float32)[:, None, None]
    above, below = _SKIES[int(rng.integers(len(_SKIES)))]
    mix = np.clip(height / horizon, 0, 1)
    canvas = (np.array(vary(rng, above, 12.), np.float32) * (1 - mix) +
              np.array(vary(rng, below, 12.), np.float32) * mix)
    white = np.clip(cloud(rng, size, size, 2, 5) + rng.uniform(-.6, .2), 0, 1)
    canvas = canvas + .6 * white[..., None] * (238 - canvas)

    haze = np.array(below, np.float32)
    for layer in range(int(rng.integers(1, 3))):
        ridge = horizon - size * (.11 - .06 * layer) * (
            .6 + cloud(rng, 4, size, 4, 4)[0])
        fade = .65 - .3 * layer
        hill = _tint(rng, GROUNDS[:2] + GROUNDS[4:5]) * .8
        hill = hill * (1 - fade) + haze * fade
        cover = np.clip(height[..., 0] - ridge[None], 0, 1)[..., None]
        canvas = canvas * (1 - cover) + hill * cover
    canvas = np.ascontiguousarray(canvas, np.float32)
    if rng.random() < .75:
        _behind(rng, canvas, horizon - .08 * size, horizon,
                int(rng.integers(4, 14)))
    ground = _ground(rng, size, horizon,
                     tuple(GROUNDS[each] for each in grounds),
                     rng.random() < .15)
    edge = np.clip((height - horizon) / 3 + .5, 0, 1)
    return canvas * (1 - edge) + ground * edge, horizon


def room(rng: np.random.Generator, size: int) -> Tuple[np.ndarray, float]:
    """Paint a wall with blurred things before it, and a floor or table.

    Args:
        rng (np.random.Generator): The source of randomness.
        size (int): In pixels.

    Returns:
        tuple[np.ndarray, float]: As of :func:`landscape`.
    """
    horizon = rng.uniform(.35, .6) * size
    height = np.arange(size, dtype=np.float32)[:, None, None]
    field = 1 + .1 * cloud(rng, size, size, 2, 4)[..., None]
    canvas = np.ascontiguousarray(
        _tint(rng, _WALLS) * field * (.9 + .15 * height / size), np.float32)
    _behind(rng, canvas, .1 * size, horizon, int(rng.integers(2, 9)))
    if rng.random() < .5:
        top = int(horizon - rng.uniform(.02, .05) * size)
        canvas[top:int(horizon)] *= rng.uniform(.75, 1.1)
    floor = _ground(rng, size, horizon, _FLOORS, rng.random() < .6)
    edge = np.clip((height - horizon) / 2 + .5, 0, 1)
    return canvas * (1 - edge) + floor * edge, horizon
