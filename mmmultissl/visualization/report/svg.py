# Copyright (c) mmmultissl contributors. All rights reserved.
"""Plots as inline SVG, which follow the page's colours and its width."""
import math
from html import escape
from typing import List, NamedTuple, Optional, Sequence, Tuple

WIDTH, HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 16, 10, 34


def colour(index: int) -> str:
    """Name one of the page's eight colours.

    Args:
        index (int): From 0; they repeat after eight.

    Returns:
        str: For CSS.
    """
    return f'var(--c{index % 8})'


class Line(NamedTuple):
    """A curve.

    Attributes:
        points (list[tuple[float, float]]): x and y.
        colour (str): CSS colour.
    """
    points: List[Tuple[float, float]]
    colour: str


def ticks(low: float, high: float, about: int = 5) -> List[float]:
    """Choose round numbers in a range: steps of 1, 2 or 5 times a power of 10.

    Args:
        low (float): Lower end.
        high (float): Upper end, above it.
        about (int): How many are wanted at most. Defaults to 5.

    Returns:
        list[float]: The numbers.
    """
    raw = (high - low) / about
    power = 10.**math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10)
                if power * factor >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * number for number in range(first, last + 1)]


def line_plot(lines: Sequence[Line],
              across: str,
              level: Optional[float] = None) -> str:
    """Draw curves over one axis.

    Args:
        lines (Sequence[Line]): The curves; at least one has two points.
        across (str): What x is, plain text.
        level (float, optional): A value of y to mark by a dashed line.
            Defaults to None.

    Returns:
        str: SVG.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    ys += [] if level is None else [level]
    x_low, x_high = min(0., *xs), max(xs)
    margin = .05 * (max(ys) - min(ys)) or .5
    y_low, y_high = min(ys) - margin, max(ys) + margin

    def place(x: float, y: float) -> Tuple[float, float]:
        inner = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return (_LEFT + inner[0] * (x - x_low) / (x_high - x_low),
                _TOP + inner[1] * (y_high - y) / (y_high - y_low))

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img>']
    for y in ticks(y_low, y_high):
        at = place(x_low, y)[1]
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}" '
                     'stroke="var(--line)"/>'
                     f'<text class=soft x="{_LEFT - 6}" y="{at + 4:.1f}" '
                     f'text-anchor=end>{y:g}</text>')
    for x in ticks(x_low, x_high):
        parts.append(f'<text class=soft x="{place(x, 0)[0]:.1f}" '
                     f'y="{HEIGHT - 18}" text-anchor=middle>{x:g}</text>')
    parts.append(f'<text class=soft x="{WIDTH / 2}" y="{HEIGHT - 3}" '
                 f'text-anchor=middle>{escape(across)}</text>')
    if level is not None:
        parts.append(f'<path d="M{_LEFT} {place(0, level)[1]:.1f}'
                     f'H{WIDTH - _RIGHT}" stroke="var(--soft)" '
                     'stroke-dasharray="4 4"/>')
    for line in lines:
        path = ' '.join('{:.1f},{:.1f}'.format(*place(*point))
                        for point in line.points)
        parts.append(f'<polyline points="{path}" fill=none stroke-width=2 '
                     f'style="stroke:{line.colour}"/>')
    return ''.join(parts) + '</svg>'


def scatter_plot(points: Sequence[Tuple[float, float]], colours: Sequence[str],
                 images: Sequence[str], titles: Sequence[str]) -> str:
    """Draw points that show a picture when pointed at.

    Args:
        points (Sequence[tuple[float, float]]): x and y, any units.
        colours (Sequence[str]): Their CSS colours.
        images (Sequence[str]): The classes of their thumbnails.
        titles (Sequence[str]): What they are, plain texts.

    Returns:
        str: SVG.
    """
    side, edge = 400, 10
    lows, highs = zip(*((min(values), max(values)) for values in zip(*points)))
    # One scale for both axes: distances are what is looked at.
    extent = max(high - low for low, high in zip(lows, highs)) or 1.
    scale = (side - 2 * edge) / extent
    shifts = [
        side / 2 - scale * (low + high) / 2 for low, high in zip(lows, highs)
    ]
    parts = [f'<svg viewBox="0 0 {side} {side}" role=img>']
    for (x, y), paint, image, title in zip(points, colours, images, titles):
        parts.append(f'<circle cx="{shifts[0] + scale * x:.1f}" '
                     f'cy="{shifts[1] + scale * y:.1f}" r=5 fill-opacity=".8" '
                     f'style="fill:{paint}" data-image={image} '
                     f'aria-label="{escape(title)}"/>')
    return ''.join(parts) + '</svg>'
