# Copyright (c) mmmultissl contributors. All rights reserved.
"""The results of all runs in one table, for the page and the terminal."""
from typing import List, Optional, Sequence, Tuple

from .page import Section, paragraphs, table
from .runs import Run

_HEAD = ('run', 'SVM mAP', 'kNN mAP', 'detection AP50', 'updates', 'seconds',
         'tasks')
_NONE = '–'


def detection_ap50(lines: Sequence[dict]) -> Optional[float]:
    """Find the last AP at an overlap of 0.5 among logged lines.

    Args:
        lines (Sequence[dict]): Of ``scalars.json``.

    Returns:
        float | None: In percent; None if nothing was evaluated.
    """
    for line in reversed(lines):
        for key in ('pascal_voc/AP50', 'coco/bbox_mAP_50'):
            if key in line:
                return 100 * line[key]
    return None


def result_rows(runs: Sequence[Run]) -> List[Tuple[str, ...]]:
    """Collect the results.

    Args:
        runs (Sequence[Run]): The runs.

    Returns:
        list[tuple[str]]: A row per run, in the order of the headings.
    """
    rows = []
    for run in runs:
        updates, seconds = _NONE, _NONE
        if run.pretraining is not None:
            updates = str(run.pretraining.updates)
            seconds = f'{run.pretraining.seconds():.0f}'
        found = run.detection and detection_ap50(run.detection.scalars())
        rows.append((run.name, _percent(run.evaluation.get('mAP')),
                     _percent(run.evaluation.get('knn', {}).get('mAP')),
                     _percent(found), updates, seconds, ', '.join(run.tasks)
                     or 'none'))
    return rows


def _percent(value: Optional[float]) -> str:
    return _NONE if value is None else f'{value:.1f}'


def results_text(runs: Sequence[Run]) -> str:
    """Lay the table out for a terminal.

    Args:
        runs (Sequence[Run]): The runs.

    Returns:
        str: Lines.
    """
    rows = [_HEAD, *result_rows(runs)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    return '\n'.join('  '.join(
        f'{cell:<{width}}' if i == 0 else f'{cell:>{width}}'
        for i, (cell, width) in enumerate(zip(row, widths))) for row in rows)


def results_section(runs: Sequence[Run]) -> Section:
    """Write the table and what its numbers are.

    Args:
        runs (Sequence[Run]): The runs.

    Returns:
        Section: The section.
    """
    explained = paragraphs(
        'The backbone of every run was judged without fine-tuning: one linear '
        'SVM per class on its features, and the labels of the nearest '
        'training images (kNN), each as mean average precision over the '
        'classes, in percent. Detection is a whole detector that was trained '
        'on from the backbone, at an overlap of at least one half.',
        '"random" is the same network without any pretraining, the control. '
        'Seconds are those of the training steps alone, as long as they took '
        'beside whatever else ran. One seed each: small differences between '
        'rows mean nothing.')
    return Section('Results', '', table(_HEAD, result_rows(runs)) + explained)
