# Copyright (c) mmmultissl contributors. All rights reserved.
"""Generated scenes: groups of lit, occluding things before a background.

They stand in for photographs where none can be had: in the demo and in tests.
A scene is a function of its seed. All of it is our choice.

As among photographs, most things of a class have its usual colours and
surface and stand where it is usually met, but by no means all: boats on
water, cars on asphalt, chairs indoors. Things of a class come in groups, each
in a look of its own, so that two crops of a scene often show the same class
and seldom the same thing. Light, background and camera vary alike for all
classes, and little: a set of some hundred scenes in which they vary much
teaches a self-supervised task to tell scenes by their light.
"""
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from mmmultissl.datasets.demo_backgrounds import GROUNDS, landscape, room
from mmmultissl.datasets.demo_paint import (FINE, Cover, cast_shadow, draw,
                                            photograph)
from mmmultissl.datasets.demo_things import DRAWN, clutter

# A thing that others cover down to this fraction is not annotated; below the
# second it is marked difficult.
_HIDDEN, _DIFFICULT = .2, .45
# Area of a usual thing's box, as a fraction of the image's.
_AREA = .13


# Class -> grounds it is usually met on; none: indoors. Persons are anywhere.
_ANYWHERE = tuple(range(len(GROUNDS)))
_PLACES: Dict[str, Tuple[int, ...]] = dict(
    aeroplane=(0, 3, 6),
    bird=(1, 2, 4),
    boat=(5, ),
    bottle=(),
    car=(3, ),
    chair=(),
    dog=(0, 1, 6),
    pottedplant=(),
    tvmonitor=())


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
    fine = size * FINE
    # Few classes a scene, several things of each: as in photographs.
    classes = rng.permutation(list(DRAWN))[:rng.choice([1, 2, 3],
                                                       p=[.5, .4, .1])]
    plan = list(rng.choice(classes, int(rng.integers(2, 5))))
    plan += [''] * int(rng.integers(0, 2))
    plan = [str(name) for name in rng.permutation(plan)]
    canvas, horizon = _surroundings(rng, str(classes[0]), fine)
    light = float(rng.choice([-1., 1.])) * rng.uniform(.3, 1.)
    shadow = rng.uniform(.25, .6)

    # What stands lower is nearer, larger and painted later. Things stand
    # side by side, more or less.
    back = horizon / fine + .12
    floors = np.sort(rng.uniform(back, 1.03, len(plan)))
    places = rng.permutation(len(plan)) + rng.uniform(.1, .9, len(plan))
    zoom = rng.uniform(.75, 1.25)
    drawn: List[Tuple[str, Cover]] = []
    for name, floor, place in zip(plan, floors, places):
        thing = (DRAWN[name] if name else clutter)(rng)
        thing = thing._replace(aspect=thing.aspect * rng.uniform(.88, 1.14))
        near = .65 + .6 * (floor - back) / (1.03 - back)
        height = fine * near * zoom * rng.uniform(.85, 1.18) * np.sqrt(
            (_AREA if name else .4 * _AREA) / thing.aspect)
        x, foot = fine * place / len(plan), fine * floor
        if name == 'aeroplane':
            foot = rng.uniform(.5 * height, horizon + .6 * height)
        else:
            cast_shadow(canvas, (x, foot), height * thing.aspect, light,
                        shadow)
        drawn.append((name,
                      draw(rng, canvas, thing, (x, foot - height / 2), height,
                           light)))
    return Scene(photograph(rng, canvas, size), _annotate(drawn, size))


def _surroundings(rng: np.random.Generator, name: str,
                  fine: int) -> Tuple[np.ndarray, float]:
    """Paint where a class is usually met; in one scene of five, anywhere."""
    usual = _PLACES.get(name)
    if usual is None or rng.random() < .2:
        usual = _ANYWHERE if rng.random() < .6 else ()
    return landscape(rng, fine, usual) if usual else room(rng, fine)


def _annotate(drawn: List[Tuple[str, Cover]],
              size: int) -> List[SceneObject]:
    inside = [cover.inside(size) for _, cover in drawn]
    objects = []
    for index, (name, cover) in enumerate(drawn):
        whole, shown = int(cover.mask.sum()), int(inside[index].sum())
        mask = inside[index].copy()
        for later in inside[index + 1:]:
            mask &= ~later
        seen = int(mask.sum())
        if not name or seen < max(_HIDDEN * whole, 12):
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
                truncated=shown < whole,
                occluded=seen < shown,
                difficult=seen < _DIFFICULT * whole
                or bottom - top < .06 * size))
    return objects
