# Copyright (c) mmmultissl contributors. All rights reserved.
"""Generated scenes: textured backgrounds with several lit, occluding things.

They stand in for photographs where none can be had: in the demo and in tests.
A scene is a function of its seed. All of it is our choice.
"""
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from mmmultissl.datasets.demo_shapes import DRAWN, Thing, clutter

# Scenes are painted larger by this factor and averaged down, which smooths
# the edges.
_FINE = 2
# A thing that others cover down to this fraction is not annotated; below the
# second it is marked difficult.
_HIDDEN, _DIFFICULT = .2, .45


class SceneObject(NamedTuple):
    """One annotated thing of a scene.

    Args:
        name (str): Its VOC class.
        mask (np.ndarray): Where it is visible, bool, shape (size, size).
        box (tuple[int]): Left, top, right, bottom of the visible part, in
            pixels from 0; right and bottom belong to it.
        truncated (bool): Whether it reaches beyond the image.
        occluded (bool): Whether others cover a part of it.
        difficult (bool): Whether little of it is seen, or it is tiny.
    """
    name: str
    mask: np.ndarray
    box: Tuple[int, int, int, int]
    truncated: bool
    occluded: bool
    difficult: bool


class Scene(NamedTuple):
    """A generated image and what is on it.

    Args:
        image (np.ndarray): Blue, green, red; uint8, shape (size, size, 3).
        objects (list[SceneObject]): The annotated things, back to front.
    """
    image: np.ndarray
    objects: List[SceneObject]


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


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Paint a ground with or without a horizon.

    Args:
        rng (np.random.Generator): The source of randomness.
        size (int): In pixels.

    Returns:
        np.ndarray: Float32 image, shape (size, size, 3), about 0 to 255.
    """
    grounds = np.array([(70, 130, 95), (110, 145, 165), (120, 120, 122),
                        (60, 95, 135), (150, 120, 70), (150, 165, 180)],
                       np.float32)
    walls = np.array([(215, 185, 150), (200, 205, 210), (140, 160, 190),
                      (170, 175, 140), (235, 225, 215), (120, 105, 100)],
                     np.float32)

    def surface(colour: np.ndarray, strength: float) -> np.ndarray:
        tint = colour + rng.uniform(-25, 25, 3).astype(np.float32)
        coarse = cloud(rng, size, size, int(rng.integers(2, 6)), 6)
        grain = rng.normal(0, .35, (size, size)).astype(np.float32)
        field = 1 + strength * (coarse + cv2.GaussianBlur(grain, (0, 0), 1.))
        hue = np.stack([cloud(rng, size, size, 2, 3) for _ in range(3)], 2)
        return tint * field[..., None] + 12 * hue

    far = surface(walls[rng.integers(len(walls))], rng.uniform(.06, .2))
    near = surface(grounds[rng.integers(len(grounds))], rng.uniform(.15, .4))
    if rng.random() < .5:
        # Planks, tiles or rows of a field.
        across = np.arange(size, dtype=np.float32)
        period = rng.uniform(.08, .3) * size
        lines = 1 - .25 * (np.mod(across + rng.uniform(0, period), period) <
                           .06 * period).astype(np.float32)
        near = near * (lines[None, :, None]
                       if rng.random() < .5 else lines[:, None, None])
    horizon = rng.uniform(.25, .65) * size
    rough = rng.uniform(0, .05) * size * cloud(rng, 8, size, 6, 4)[0]
    depth = np.arange(size, dtype=np.float32)[:, None]
    mix = np.clip((depth - horizon - rough[None]) / 2 + .5, 0, 1)[..., None]
    return far * (1 - mix) + near * mix


def surface_field(rng: np.random.Generator, kind: str, height: int,
                  width: int) -> np.ndarray:
    """Make the pattern that a part's colour is multiplied with.

    Args:
        rng (np.random.Generator): The source of randomness.
        kind (str): See :class:`~mmmultissl.datasets.demo_shapes.Part`.
        height (int): In pixels.
        width (int): In pixels.

    Returns:
        np.ndarray: About 0.5 to 1.5, float32, shape (height, width).
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    field = 1 + .1 * cloud(rng, height, width, 3, 4)
    period = max(rng.uniform(.06, .14) * max(height, width), 3.)
    if kind == 'stripes':
        angle = rng.uniform(0, np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        field *= 1 + .28 * np.sign(np.sin(2 * np.pi * along / period))
    elif kind == 'checks':
        field *= 1 + .3 * np.sign(
            np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * y / period))
    elif kind == 'speckles':
        grain = rng.normal(0, 1, (height, width)).astype(np.float32)
        field *= 1 + .45 * cv2.GaussianBlur(grain, (0, 0), 1.2)
    elif kind == 'glass':
        field *= 1 + .35 * np.clip(1.2 * (x / width - y / height), -1, 1)
    return field


def draw(rng: np.random.Generator, canvas: np.ndarray, thing: Thing,
         centre: Tuple[float, float], height: float,
         light: float) -> np.ndarray:
    """Paint a thing onto a canvas.

    Args:
        rng (np.random.Generator): The source of randomness.
        canvas (np.ndarray): Float32 image, shape (S, S, 3), painted in place.
        thing (Thing): What to paint.
        centre (tuple[float]): Where its box has its centre: x, y in pixels.
        height (float): Of the box, in pixels.
        light (float): -1 for light from the left, 1 for light from the right.

    Returns:
        np.ndarray: What the thing covers, 0 to 1, float32, of a canvas that
        is larger by a margin of S on each side, shape (3S, 3S).
    """
    size = canvas.shape[0]
    width = height * thing.aspect
    flip = -1. if rng.random() < .5 else 1.
    lean = rng.normal(0, .06)
    turn = np.array([[np.cos(lean), np.sin(lean)],
                     [-np.sin(lean), np.cos(lean)]])
    covered = np.zeros((3 * size, 3 * size), np.float32)
    for part in thing.parts:
        points = (part.outline - .5) * (flip * width, height) @ turn + centre
        # Work in the part's own window, and paint what lies on the canvas.
        low = np.clip(np.floor(points.min(0)).astype(int) - 1, -size, 2 * size)
        high = np.clip(np.ceil(points.max(0)).astype(int) + 2, -size, 2 * size)
        columns, rows = high - low
        if columns <= 0 or rows <= 0:
            continue
        mask = np.zeros((rows, columns), np.uint8)
        cv2.fillPoly(
            mask, [np.round((points - low) * 16).astype(np.int32)],
            255,
            lineType=cv2.LINE_AA,
            shift=4)
        alpha = mask.astype(np.float32) / 255
        window = covered[size + low[1]:size + high[1],
                         size + low[0]:size + high[0]]
        np.maximum(window, alpha, out=window)
        # Darker towards the edges, as round things are; and on one side.
        soft = cv2.GaussianBlur(
            alpha, (0, 0),
            max(.05 * height, 1.),
            borderType=cv2.BORDER_CONSTANT)
        x = np.arange(low[0], high[0], dtype=np.float32)
        side = np.clip((x - centre[0]) / (.5 * width), -1, 1)
        shade = (1 + .22 * light * side) * (.72 + .33 * soft)
        shade *= surface_field(rng, part.surface, int(rows), int(columns))
        colour = np.array(part.colour, np.float32) * shade[..., None]
        start, stop = np.clip(low, 0, size), np.clip(high, 0, size)
        if (stop <= start).any():
            continue
        part_of = (slice(start[1] - low[1], stop[1] - low[1]),
                   slice(start[0] - low[0], stop[0] - low[0]))
        there = canvas[start[1]:stop[1], start[0]:stop[0]]
        there += alpha[part_of][..., None] * (colour[part_of] - there)
    return covered


def cast_shadow(canvas: np.ndarray, centre: Tuple[float, float],
                height: float, width: float, light: float) -> None:
    """Darken the ground below a thing, in place.

    Args:
        canvas (np.ndarray): Float32 image, shape (S, S, 3).
        centre (tuple[float]): Centre of the thing's box, in pixels.
        height (float): Of the box, in pixels.
        width (float): Of the box, in pixels.
        light (float): -1 for light from the left, 1 for light from the right.
    """
    mask = np.zeros(canvas.shape[:2], np.float32)
    foot = (int(centre[0] - .25 * light * width),
            int(centre[1] + .49 * height))
    axes = (max(int(.6 * width), 1), max(int(.09 * height), 1))
    cv2.ellipse(mask, foot, axes, 0, 0, 360, 1., -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(.05 * height, 1.))
    canvas *= 1 - .5 * mask[..., None]


def finish(rng: np.random.Generator, canvas: np.ndarray,
           size: int) -> np.ndarray:
    """Make a photograph of a canvas: light, focus, pixels and noise.

    Args:
        rng (np.random.Generator): The source of randomness.
        canvas (np.ndarray): Float32 image, shape (S, S, 3).
        size (int): Of the result, in pixels.

    Returns:
        np.ndarray: uint8 image, shape (size, size, 3).
    """
    fine = canvas.shape[0]
    glow = 1 + .18 * cloud(rng, fine, fine, 2, 2)
    cast = rng.uniform(.9, 1.1, 3).astype(np.float32)
    photo = canvas * glow[..., None] * cast * rng.uniform(.75, 1.15)
    if rng.random() < .3:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(.5, 1.5))
    photo = cv2.resize(photo, (size, size), interpolation=cv2.INTER_AREA)
    photo += rng.normal(0, rng.uniform(1, 5), photo.shape)
    return np.clip(np.round(photo), 0, 255).astype(np.uint8)


def make_scene(seed: Sequence[int], size: int = 160) -> Scene:
    """Generate a scene.

    Args:
        seed (Sequence[int]): Numbers that determine the scene, such as the
            set's seed and the image's number; each at least 0.
        size (int): Width and height, in pixels. Defaults to 160.

    Returns:
        Scene: The image and its annotated things; at least one of them is
        not difficult.
    """
    rng = np.random.default_rng(list(seed))
    while True:
        scene = _try_scene(rng, size)
        # A scene can come out with everything hidden: draw another.
        if any(not thing.difficult for thing in scene.objects):
            return scene


def _try_scene(rng: np.random.Generator, size: int) -> Scene:
    fine = size * _FINE
    canvas = background(rng, fine)
    light = float(rng.choice([-1., 1.])) * rng.uniform(.3, 1.)
    # Few classes a scene, more than one thing of some: as in photographs.
    names = rng.choice(
        list(DRAWN), int(rng.choice([1, 2, 3], p=[.45, .4, .15])), False)
    plan = [str(rng.choice(names)) for _ in range(int(rng.integers(1, 5)))]
    plan += [''] * int(rng.integers(0, 3))

    # What stands lower is nearer, larger and painted later.
    floors = np.sort(rng.uniform(.55, 1.02, len(plan)))
    order = rng.permutation(len(plan))
    drawn: List[Tuple[str, np.ndarray]] = []
    for floor, which in zip(floors, order):
        name = plan[which]
        shape, usual = DRAWN[name] if name else (clutter, .22)
        thing = shape(rng)
        near = .55 + .95 * (floor - .55) / .47
        height = fine * usual * near * rng.uniform(.75, 1.3)
        centre = (fine * rng.uniform(.08, .92), fine * floor - height / 2)
        cast_shadow(canvas, centre, height, height * thing.aspect, light)
        covered = draw(rng, canvas, thing, centre, height, light)
        drawn.append((name, covered))
    return Scene(finish(rng, canvas, size), _annotate(drawn, size))


def _annotate(drawn: List[Tuple[str, np.ndarray]],
              size: int) -> List[SceneObject]:
    inner = slice(size, 2 * size)
    # Averaged down as the image is; half a pixel covered is covered.
    solid = [
        cv2.resize(covered, (3 * size, 3 * size),
                   interpolation=cv2.INTER_AREA) >= .5 for _, covered in drawn
    ]
    objects = []
    for index, (name, _) in enumerate(drawn):
        whole = solid[index]
        mask = whole[inner, inner].copy()
        inside = int(mask.sum())
        for later in solid[index + 1:]:
            mask &= ~later[inner, inner]
        seen = int(mask.sum())
        if not name or seen < max(_HIDDEN * int(whole.sum()), 12):
            continue
        rows, columns = np.where(mask)
        left, right = int(columns.min()), int(columns.max())
        top, bottom = int(rows.min()), int(rows.max())
        if right - left < 3 or bottom - top < 3:
            continue
        objects.append(
            SceneObject(
                name=name,
                mask=mask,
                box=(left, top, right, bottom),
                truncated=inside < int(whole.sum()),
                occluded=seen < inside,
                difficult=seen < _DIFFICULT * int(whole.sum())
                or bottom - top < .06 * size))
    return objects
