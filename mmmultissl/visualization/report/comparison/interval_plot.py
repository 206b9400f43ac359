# Copyright (c) mmmultissl contributors. All rights reserved.
"""Differences with their intervals, one line for each row."""
from html import escape
from typing import Sequence, Tuple

from mmmultissl.comparison.statistics import Difference

from ..svg import ticks

_WIDTH, _LINE, _RIGHT = 560, 22, 14
# Of a letter of the widest of the usual fonts, and of the longest name.
_LETTER, _LONGEST = 7.4, 36


def interval_plot(rows: Sequence[Tuple[str, Difference]], sign: int) -> str:
    """Draw differences as dots and intervals as bars, around zero.

    An interval that leaves 0 out has the colour of what is right, where it
    lies on the better side, or wrong; the others are grey.

    Args:
        rows (Sequence[tuple[str, Difference]]): Name and difference, at
            least one.
        sign (int): 1 where more is better, -1 where less is.

    Returns:
        str: SVG.
    """
    ends = [0.]
    for _, found in rows:
        ends += [end for end in (found.low, found.mean, found.high)
                 if end is not None]
    margin = .05 * (max(ends) - min(ends)) or .5
    low, high = min(ends) - margin, max(ends) + margin

    names = [_short(name) for name, _ in rows]
    left = 8 + _LETTER * max(map(len, names))

    def across(value: float) -> float:
        return left + (_WIDTH - left - _RIGHT) * (value - low) / (high - low)

    bottom = _LINE * len(rows) + 6
    parts = [f'<svg viewBox="0 0 {_WIDTH} {bottom + 20}" role=img>']
    for x in ticks(low, high, 4):
        parts.append(f'<path d="M{across(x):.1f} 0V{bottom}" '
                     'stroke="var(--line)"/>'
                     f'<text class=soft x="{across(x):.1f}" '
                     f'y="{bottom + 14}" text-anchor=middle>{x:g}</text>')
    parts.append(f'<path d="M{across(0):.1f} 0V{bottom}" '
                 'stroke="var(--text)"/>')
    for number, (name, (_, found)) in enumerate(zip(names, rows)):
        y = _LINE * (number + .5) + 3
        sure = found.sure(sign)
        paint = {True: '--right', False: '--wrong', None: '--soft'}[sure]
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" '
                     f'text-anchor=end>{escape(name)}</text>')
        if found.low is not None:
            parts.append(f'<path d="M{across(found.low):.1f} {y:.1f}'
                         f'H{across(found.high):.1f}" stroke-width=3 '
                         f'style="stroke:var({paint})"/>')
        parts.append(f'<circle cx="{across(found.mean):.1f}" cy="{y:.1f}" '
                     f'r=5 style="fill:var({paint})"/>')
    return ''.join(parts) + '</svg>'


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f'{name[:17]}…{name[-18:]}'
