# Copyright (c) mmmultissl contributors. All rights reserved.
"""The things that generated demo scenes show, as coloured outlines.

Each function draws one kind of thing at random: several builds, colours and
surfaces of a kind, so that a kind is more than one template. All of it is our
choice; nothing is taken from real images.

A thing is a list of parts, painted in order. Coordinates are relative to the
thing's box: x from 0 (left) to 1 (right), y from 0 (top) to 1 (bottom).
"""
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

# Blue, green, red, each 0 to 255, as OpenCV has them.
Colour = Tuple[float, float, float]


class Part(NamedTuple):
    """One outline of a thing.

    Args:
        outline (np.ndarray): Corners, shape (P, 2), x and y relative to the
            box of the thing.
        colour (tuple[float]): Blue, green and red, 0 to 255.
        surface (str): ``'plain'``, ``'stripes'``, ``'checks'``,
            ``'speckles'`` or ``'glass'``. Defaults to 'plain'.
    """
    outline: np.ndarray
    colour: Colour
    surface: str = 'plain'


class Thing(NamedTuple):
    """A drawn thing.

    Args:
        parts (list[Part]): What to paint, back to front.
        aspect (float): Width over height of the box.
    """
    parts: List[Part]
    aspect: float


DARK: Colour = (38., 34., 32.)
STEEL: Colour = (176., 172., 168.)
CLOTH = ('plain', 'plain', 'stripes', 'checks', 'speckles')


def pick(rng: np.random.Generator, options: tuple):
    """Pick one of several options.

    Args:
        rng (np.random.Generator): The source of randomness.
        options (tuple): What to pick from.

    Returns:
        Any: One of them.
    """
    return options[int(rng.integers(len(options)))]


def vary(rng: np.random.Generator, colour: Colour, by: float = 25.) -> Colour:
    """Move a colour a little.

    Args:
        rng (np.random.Generator): The source of randomness.
        colour (tuple[float]): Blue, green and red, 0 to 255.
        by (float): The largest move of a channel. Defaults to 25.

    Returns:
        tuple[float]: The new colour.
    """
    moved = np.clip(np.array(colour) + rng.uniform(-by, by, 3), 5, 250)
    return tuple(moved.tolist())


def paint(rng: np.random.Generator) -> Colour:
    """Pick a colour as things made by people have it.

    Args:
        rng (np.random.Generator): The source of randomness.

    Returns:
        tuple[float]: Blue, green and red, 0 to 255.
    """
    return vary(
        rng,
        pick(rng, ((45., 45., 190.), (180., 90., 40.), (70., 150., 60.),
                   (50., 190., 220.), (225., 225., 225.), (60., 60., 65.),
                   (150., 80., 140.), (60., 120., 225.))))


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Outline a rectangle: corners of shape (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom],
                     [left, bottom]])


def oval(x: float,
         y: float,
         across: float,
         down: float,
         turn: float = 0.) -> np.ndarray:
    """Outline an ellipse.

    Args:
        x (float): Centre.
        y (float): Centre.
        across (float): Half axis along x, before turning.
        down (float): Half axis along y, before turning.
        turn (float): Angle, in radians, clockwise. Defaults to 0.

    Returns:
        np.ndarray: Corners, shape (24, 2).
    """
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.stack([across * np.cos(angle), down * np.sin(angle)], 1)
    cos, sin = np.cos(turn), np.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]]) + (x, y)


def corners(*points: Tuple[float, float]) -> np.ndarray:
    """Outline a polygon: corners of shape (P, 2)."""
    return np.array(points)


def bird(rng: np.random.Generator) -> Thing:
    """Draw a bird, sitting or with its wing up."""
    feathers = vary(
        rng,
        pick(rng, ((70., 90., 120.), (160., 110., 60.), (50., 55., 60.),
                   (90., 170., 210.), (215., 215., 220.), (60., 70., 170.))))
    wing = vary(rng, tuple(.7 * value for value in feathers), 12.)
    parts = [
        Part(corners((.42, .7), (.44, .7), (.43, 1.), (.4, 1.)), DARK),
        Part(corners((.54, .7), (.56, .7), (.57, 1.), (.54, 1.)), DARK),
        Part(corners((.3, .5), (0., .36), (.02, .52), (.34, .66)), wing),
        Part(oval(.48, .55, .27, .21, -.25), feathers, 'speckles'),
        Part(oval(.76, .3, .13, .15), feathers, 'speckles'),
        Part(corners((.86, .24), (1., .33), (.86, .38)), (40., 140., 225.)),
        Part(oval(.79, .27, .025, .03), DARK),
    ]
    if rng.random() < .5:
        parts.append(Part(oval(.42, .54, .2, .11, .2), wing, 'stripes'))
    else:
        parts.append(
            Part(
                corners((.3, .56), (.2, 0.), (.42, .12), (.62, .5)), wing,
                'stripes'))
    return Thing(parts, 1.25)


def boat(rng: np.random.Generator) -> Thing:
    """Draw a sailing boat or a motor boat."""
    hull = paint(rng)
    if rng.random() < .6:
        sail = vary(rng, (225., 230., 232.), 20.)
        second = paint(rng) if rng.random() < .5 else sail
        lean = rng.uniform(-.05, .05)
        return Thing([
            Part(box(.475, .02, .5, .8), (50., 80., 110.)),
            Part(
                corners((.52, .04), (.92 + lean, .7), (.52, .72)), sail,
                pick(rng, ('plain', 'stripes'))),
            Part(corners((.45, .14), (.45, .72), (.14 + lean, .7)), second),
            Part(
                corners((0., .76), (1., .76), (.84, 1.), (.16, 1.)), hull),
            Part(box(.05, .78, .95, .82), (225., 225., 225.)),
        ], .85)
    return Thing([
        Part(box(.3, .25, .68, .62), (220., 222., 224.)),
        Part(box(.35, .33, .45, .47), (120., 90., 60.), 'glass'),
        Part(box(.52, .33, .62, .47), (120., 90., 60.), 'glass'),
        Part(box(.5, 0., .6, .26), paint(rng), 'stripes'),
        Part(corners((0., .5), (1., .6), (.88, 1.), (.14, 1.)), hull),
        Part(box(.06, .86, .92, .92), DARK),
    ], 1.8)


def bottle(rng: np.random.Generator) -> Thing:
    """Draw a bottle with or without a label."""
    glass = vary(
        rng,
        pick(rng, ((60., 110., 40.), (30., 60., 110.), (190., 140., 60.),
                   (205., 205., 195.), (50., 50., 160.))))
    shoulder = rng.uniform(.3, .45)
    neck = rng.uniform(.13, .2)
    parts = [
        Part(
            corners((.5 - neck, .06), (.5 + neck, .06),
                    (.5 + neck, shoulder - .12), (1., shoulder), (1., .97),
                    (.93, 1.), (.07, 1.), (0., .97), (0., shoulder),
                    (.5 - neck, shoulder - .12)), glass, 'glass'),
        Part(box(.46 - neck, 0., .54 + neck, .08), paint(rng)),
        Part(
            box(.14, shoulder + .04, .24, .92),
            tuple(min(value + 60., 250.) for value in glass)),
    ]
    if rng.random() < .7:
        parts.append(
            Part(
                box(.02, shoulder + .15, .98, shoulder + .4), paint(rng),
                pick(rng, CLOTH)))
    return Thing(parts, rng.uniform(.3, .42))


def car(rng: np.random.Generator) -> Thing:
    """Draw a saloon, a hatchback or a van from the side."""
    body = paint(rng)
    pane = (130., 105., 80.)
    build = pick(rng, ('saloon', 'hatchback', 'van'))
    roof = dict(
        saloon=((.2, .42), (.34, .06), (.66, .06), (.82, .42)),
        hatchback=((.06, .42), (.14, .04), (.6, .04), (.8, .42)),
        van=((.02, .42), (.03, .0), (.72, .0), (.86, .42)))[build]
    left, right = roof[1][0], roof[2][0]
    middle = (left + right) / 2
    parts = [
        Part(corners(*roof), body),
        Part(
            corners((roof[0][0] + .07, .39), (left + .03, .12),
                    (middle - .02, .12), (middle - .02, .39)), pane, 'glass'),
        Part(
            corners((middle + .02, .39), (middle + .02, .12),
                    (right - .02, .12), (roof[3][0] - .06, .39)), pane,
            'glass'),
        Part(
            corners((.01, .42), (.8, .4), (.97, .5), (1., .82), (0., .82)),
            body),
        Part(box(.0, .74, 1., .82), DARK),
        Part(oval(.95, .57, .03, .05), (190., 235., 245.)),
        Part(box(middle + .02, .5, middle + .1, .53), STEEL),
    ]
    for x in (.22, .78):
        parts.append(Part(oval(x, .8, .105, .2), DARK))
        parts.append(Part(oval(x, .8, .055, .105), STEEL, 'speckles'))
    return Thing(parts, dict(van=1.9).get(build, 2.3))


def person(rng: np.random.Generator) -> Thing:
    """Draw a person who stands or walks."""
    skin = vary(
        rng,
        pick(rng, ((150., 185., 230.), (110., 150., 205.), (70., 100., 150.),
                   (50., 70., 105.))), 12.)
    hair = vary(
        rng, pick(rng, ((25., 30., 40.), (40., 70., 110.), (90., 160., 200.))),
        12.)
    shirt, trousers = paint(rng), paint(rng)
    weave = pick(rng, CLOTH)
    stride = rng.uniform(0., .16)
    swing = rng.uniform(0., .12)
    return Thing([
        Part(
            corners((.34, .55), (.5, .55), (.46 - stride, 1.),
                    (.3 - stride, 1.)), trousers),
        Part(
            corners((.5, .55), (.66, .55), (.7 + stride, 1.),
                    (.54 + stride, 1.)), trousers),
        Part(
            corners((.24, .2), (.36, .2), (.24 - swing, .58),
                    (.12 - swing, .56)), shirt, weave),
        Part(
            corners((.64, .2), (.76, .2), (.88 + swing, .56),
                    (.76 + swing, .58)), shirt, weave),
        Part(oval(.18 - swing, .59, .06, .03), skin),
        Part(oval(.82 + swing, .59, .06, .03), skin),
        Part(box(.44, .12, .56, .22), skin),
        Part(
            corners((.26, .18), (.74, .18), (.7, .58), (.3, .58)), shirt,
            weave),
        Part(oval(.5, .075, .19, .075), hair),
        Part(oval(.5, .09, .145, .07), skin),
        Part(box(.26 - stride, .975, .5 - stride, 1.), DARK),
        Part(box(.5 + stride, .975, .74 + stride, 1.), DARK),
    ], .42)


def pottedplant(rng: np.random.Generator) -> Thing:
    """Draw a plant in a pot, with or without flowers."""
    pot = vary(
        rng,
        pick(rng, ((50., 90., 180.), (210., 205., 200.), (120., 80., 50.))))
    green = vary(rng, (55., 130., 60.), 30.)
    petal = paint(rng)
    flowers = rng.random() < .4
    parts: List[Part] = []
    for _ in range(int(rng.integers(9, 17))):
        angle = rng.uniform(-2.9, -.25)
        reach = rng.uniform(.22, .42)
        x = .5 + .95 * reach * np.cos(angle)
        y = .6 + 1.1 * reach * np.sin(angle)
        parts.append(
            Part(
                oval(x, y, rng.uniform(.12, .22), rng.uniform(.035, .07),
                     angle), vary(rng, green, 30.), 'stripes'))
        if flowers and rng.random() < .5:
            parts.append(Part(oval(x, y, .06, .055), vary(rng, petal, 15.)))
    parts += [
        Part(corners((.26, .68), (.74, .68), (.67, 1.), (.33, 1.)), pot),
        Part(
            box(.23, .62, .77, .71), pot,
            pick(rng, ('plain', 'plain', 'stripes'))),
    ]
    return Thing(parts, .8)


def tvmonitor(rng: np.random.Generator) -> Thing:
    """Draw a screen on a stand, with something on it."""
    frame = vary(
        rng,
        pick(rng, ((45., 45., 48.), (190., 190., 190.), (70., 95., 120.))),
        12.)
    shown = vary(rng, pick(rng, ((190., 120., 60.), (90., 150., 90.),
                                 (60., 50., 45.))))
    parts = [
        Part(box(.44, .78, .56, .95), frame),
        Part(box(.25, .93, .75, 1.), frame),
        Part(box(0., 0., 1., .82), frame),
        Part(box(.045, .055, .955, .75), shown, 'glass'),
    ]
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(.12, .7), rng.uniform(.12, .5)
        parts.append(
            Part(
                box(x, y, x + rng.uniform(.08, .24), y + rng.uniform(.06, .2)),
                paint(rng), pick(rng, CLOTH)))
    return Thing(parts, rng.uniform(1.15, 1.5))


def clutter(rng: np.random.Generator) -> Thing:
    """Draw something that is none of the classes: a stone, post or crate."""
    kind = pick(rng, ('stone', 'post', 'crate'))
    wood = vary(rng, (70., 105., 140.))
    if kind == 'post':
        return Thing([Part(box(.2, 0., .8, 1.), wood, 'stripes')], .12)
    if kind == 'crate':
        return Thing([
            Part(box(0., 0., 1., 1.), wood, 'stripes'),
            Part(box(.12, .12, .88, .88), vary(rng, wood, 15.), 'stripes'),
        ], rng.uniform(.8, 1.5))
    angle = np.linspace(0, 2 * np.pi, 11, endpoint=False)
    reach = rng.uniform(.34, .5, 11)
    outline = np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None] + .5
    return Thing([Part(outline, vary(rng, (120., 120., 120.)), 'speckles')],
                 rng.uniform(1., 1.8))


# VOC's name of a class -> what draws it, and its usual height as a fraction
# of the image's.
DRAWN: Dict[str, Tuple[Callable[[np.random.Generator], Thing], float]] = dict(
    bird=(bird, .26),
    boat=(boat, .4),
    bottle=(bottle, .42),
    car=(car, .28),
    person=(person, .6),
    pottedplant=(pottedplant, .42),
    tvmonitor=(tvmonitor, .36))
