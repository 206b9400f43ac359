# Copyright (c) mmmultissl contributors. All rights reserved.
"""Whether the tasks of a row pull in one direction."""
from typing import Sequence

from ..page import Section, paragraphs
from .curves import panels
from .logs import Log

_COSINE = 'gradient/cosine/'
_NORM = 'gradient/norm/'


def conflict_section(logs: Sequence[Log]) -> Section:
    """Draw the cosine of each two tasks' gradients, and their norms.

    Args:
        logs (Sequence[Log]): Of the rows.

    Returns:
        Section: The section, which says so where nothing was measured.
    """
    title = 'Gradient conflict'
    body = ''
    for log in logs:
        cosines = log.monitored(_COSINE)
        body += panels(f'{log.row}: cosine', cosines)
        if cosines:
            body += panels(f'{log.row}: norm', log.monitored(_NORM))
    if not body:
        return Section(title, '', paragraphs(
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
