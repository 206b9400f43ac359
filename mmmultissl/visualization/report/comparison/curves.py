# Copyright (c) mmmultissl contributors. All rights reserved.
"""Curves of many rows: a panel for each task or number, few lines in each."""
from typing import Dict, List, Sequence, Tuple

from ..page import Section, colour_key, paragraphs
from ..svg import Line, colour, line_plot
from .logs import Log

# As many as there are colours.
_MOST = 8
Points = List[Tuple[float, float]]
MEASURED_ONCE = ('Measured but once in each row, so there is no curve: '
                 'shorten the intervals of MonitorHook.')
# What is shown of the monitor's numbers, and what it says.
_MONITORED = {
    'trunk/effective_rank': 'effective rank of the trunk\'s features',
    'knn/mAP': 'online kNN, mAP',
    'knn/accuracy': 'online kNN, accuracy',
}


def panels(title: str, curves: Dict[str, Points]) -> str:
    """Draw curves, in several panels where they are many.

    Args:
        title (str): Of the panels.
        curves (dict[str, list]): Name to points; those of a single point
            are left out.

    Returns:
        str: HTML; '' where there is no curve.
    """
    names = [name for name, points in curves.items() if len(points) > 1]
    body = ''
    for first in range(0, len(names), _MOST):
        shown = names[first:first + _MOST]
        plot = line_plot(
            [Line(curves[name], colour(i)) for i, name in enumerate(shown)],
            'steps')
        key = colour_key(shown, [colour(i) for i in range(len(shown))])
        body += f'<figure class=card><h3>{title}</h3>{plot}{key}</figure>'
    return body


def curves_section(logs: Sequence[Log]) -> Section:
    """Draw the loss of each task in every row that trained it.

    Args:
        logs (Sequence[Log]): Of the rows.

    Returns:
        Section: The section.
    """
    tasks: Dict[str, Dict[str, Points]] = {}
    for log in logs:
        for task, points in log.losses().items():
            tasks.setdefault(task, {})[log.row] = points
    body = ''.join(panels(task, curves) for task, curves in tasks.items())
    caption = paragraphs(
        'The weighted loss of each task over the steps, first seed. Where '
        'tasks come one after the other, a line begins where the task does. '
        'A lower loss is not yet a better encoder: see the results.')
    return Section('Loss curves', caption,
                   f'<div class=grid>{body}</div>' if body else paragraphs(
                       'There are no logged losses.'))


def monitor_section(logs: Sequence[Log]) -> Section:
    """Draw what the monitor measured of the features.

    Args:
        logs (Sequence[Log]): Of the rows.

    Returns:
        Section: The section, which says so where nothing was measured.
    """
    body, measured = '', False
    for key, title in _MONITORED.items():
        curves = {}
        for log in logs:
            found = log.monitored(key).get('')
            if found:
                curves[log.row] = found
        measured |= bool(curves)
        body += panels(title, curves)
    if not body:
        return Section('Features while training', '', paragraphs(
            MEASURED_ONCE if measured else
            'Not measured: no row has MonitorHook among its custom_hooks.'))
    return Section(
        'Features while training',
        paragraphs('Measured by MonitorHook, first seed: docs/monitor.md.'),
        f'<div class=grid>{body}</div>')
