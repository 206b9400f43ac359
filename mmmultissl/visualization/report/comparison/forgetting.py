# Copyright (c) mmmultissl contributors. All rights reserved.
"""What each stage has cost the tasks of the stages before it."""
from typing import Dict, List, Sequence, Tuple

from mmmultissl.comparison.tables import NONE, number

from ..page import Section, paragraphs, table
from .logs import Log

_EARLIER, _FORGETTING = 'earlier/', '/forgetting'


def forgetting_of(log: Log) -> Dict[str, Dict[str, float]]:
    """Read how much worse earlier tasks were at the end of each stage.

    Args:
        log (Log): Of a row.

    Returns:
        dict[str, dict[str, float]]: Stage to earlier stage to the rise of
        that one's loss since its own end; stages without measurement are
        left out.
    """
    found: Dict[str, Dict[str, float]] = {}
    for stage in log.stages:
        for line in stage.monitor:
            for key, value in line.items():
                if key.startswith(_EARLIER) and key.endswith(_FORGETTING):
                    name = key[len(_EARLIER):-len(_FORGETTING)]
                    # The last line of the stage stays.
                    found.setdefault(stage.name, {})[name] = value
    return found


def matrix_lines(log: Log) -> List[Tuple[str, ...]]:
    """Lay the forgetting of a row out.

    Args:
        log (Log): Of a row with stages.

    Returns:
        list[tuple[str]]: Headings, then a line per stage.
    """
    found = forgetting_of(log)
    names = [stage.name for stage in log.stages]
    lines: List[Tuple[str, ...]] = [('after', *names[:-1])]
    for position, name in enumerate(names):
        lines.append((name, *(
            '0' if other == name else number(
                found.get(name, {}).get(other), True)
            if names.index(other) < position else ''
            for other in names[:-1])))
    return lines


def forgetting_section(logs: Sequence[Log]) -> Section:
    """Write a matrix for every row with stages.

    Args:
        logs (Sequence[Log]): Of the rows.

    Returns:
        Section: The section, which says so where nothing was measured.
    """
    title = 'Forgetting'
    staged = [log for log in logs if len(log.stages) > 1]
    body, unmeasured = '', []
    for log in staged:
        if not forgetting_of(log):
            unmeasured.append(log.row)
            continue
        head, *rows = matrix_lines(log)
        body += (f'<figure class=card><h3>{log.row}</h3>{table(head, rows)}'
                 '</figure>')
    if not staged:
        return Section(title, '', paragraphs(
            'No row has several stages, so there is nothing to forget.'))
    texts = []
    if body:
        texts.append(
            'How much the loss of an earlier stage\'s tasks, with its old '
            'heads and on the same few batches, has risen since it ended, '
            f'first seed; {NONE} is not measured. It is what the encoder has '
            'lost for the old head, not what a new one could still get out of '
            'it.')
    if unmeasured:
        texts.append(
            f'Not measured: {", ".join(unmeasured)} (MonitorHook with '
            'earlier_tasks measures it: docs/monitor.md).')
    return Section(title, paragraphs(*texts),
                   f'<div class="grid pairs">{body}</div>' if body else '')
