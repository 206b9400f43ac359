# Copyright (c) mmmultissl contributors. All rights reserved.
"""Whether the tasks of a row pull in one direction."""
from typing import Dict, Sequence

from ..page import Section, paragraphs
from .curves import MEASURED_ONCE, Points, panels
from .logs import Log

_COSINE = 'gradient/cosine/'
_NORM = 'gradient/norm/'


def conflict_section(logs: Sequence[Log]) -> Section:
    """Draw the cosine of each two tasks' gradients, and the norms of all.

    Args:
        logs (Sequence[Log]): Of the rows.

    Returns:
        Section: The section, which says so where nothing was measured.
    """
    title = 'Gradient conflict'
    body = ''.join(
        panels(f'cosine of {pair.replace(":", " and ")}', curves)
        for pair, curves in _by_name(logs, _COSINE).items())
    several = [log for log in logs if log.monitored(_COSINE)]
    body += ''.join(
        panels(f'norm of {task}', curves)
        for task, curves in _by_name(several, _NORM).items())
    if not body:
        return Section(title, '', paragraphs(
            MEASURED_ONCE if several else
            'Not measured: no row of several tasks has MonitorHook among its '
            'custom_hooks.'))
    return Section(
        title,
        paragraphs(
            'The cosine between the gradients of each two tasks with respect '
            'to the shared features, and the size of each gradient, first '
            'seed. Below 0 a step that helps one task hurts the other; near 0 '
            'they do not meet, which is what random directions in so many '
            'dimensions do. It is measured in the space of features, not of '
            'weights.'), f'<div class=grid>{body}</div>')


def _by_name(logs: Sequence[Log], prefix: str) -> Dict[str, Dict[str, Points]]:
    """What was measured, to row, to its curve."""
    found: Dict[str, Dict[str, Points]] = {}
    for log in logs:
        for name, points in log.monitored(prefix).items():
            found.setdefault(name, {})[log.row] = points
    return found
