# Copyright (c) mmmultissl contributors. All rights reserved.
"""Each row's features of the evaluation's images, in their main plane."""
from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np

from mmmultissl.comparison.comparison import Comparison
from mmmultissl.comparison.plan import Plan
from mmmultissl.evaluation.svm import read_voc_lists

from ..page import Section, colour_key, paragraphs
from ..pictures import Thumbnails
from ..svg import colour, scatter_plot

_MOST, _COLOURS = 300, 8


def principal_plane(features: np.ndarray) -> Tuple[np.ndarray, float]:
    """Project unit vectors on their two main directions.

    Args:
        features (np.ndarray): (N, D), N at least 3.

    Returns:
        tuple[np.ndarray, float]: (N, 2), and the share of the variance that
        it shows. The sign of each axis is that of its largest coordinate.
    """
    unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)
    centred = unit - unit.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    points = left[:, :2] * values[:2]
    rows = np.abs(points).argmax(0)
    points = points * np.where(points[rows, [0, 1]] < 0, -1, 1)
    total = float((values**2).sum())
    return points, float((values[:2]**2).sum()) / total if total else 0.


def embedding_section(comparison: Comparison, plan: Plan, done: Sequence[str],
                      thumbnails: Thumbnails) -> Section:
    """Draw one plot per row.

    Args:
        comparison (Comparison): The comparison.
        plan (Plan): Its jobs.
        done (Sequence[str]): Names of the jobs that are done.
        thumbnails (Thumbnails): Takes the pictures.

    Returns:
        Section: The section, which says so where no features were kept.
    """
    title = 'Embeddings'
    kept = [
        result for result in plan.results
        if result.features and result.job in done
    ]
    if not kept:
        return Section(title, '', paragraphs(
            'Not kept: no evaluation of the kind voc07 has embedding=True.'))
    commands = {job.name: job.command for job in plan.jobs}
    body, legend = '', {}
    for result in kept:
        words = commands[result.job]
        root = words[words.index('--data-root') + 1]
        names, paths, rows, frequent = _images(root)
        points, share = principal_plane(
            np.load(result.features, allow_pickle=False)[rows])
        paints = [_colour_of(name, frequent) for name in names]
        plot = scatter_plot(points, paints,
                            [thumbnails.add(path) for path in paths], names)
        legend.update(
            {name: _colour_of(name, frequent)
             for name in [*frequent, 'other']})
        body += (f'<figure class=card><h3>{result.row}</h3>{plot}'
                 f'<figcaption>{share:.0%} of the variance'
                 '</figcaption></figure>')
    caption = paragraphs(
        'Images that are scored, as unit vectors of each row\'s features, '
        'first seed, on their two principal axes. Nothing is fitted to '
        'labels; the colour is a class that the image shows. Two of several '
        'hundred dimensions show little: judge by the results.')
    return Section(
        title, caption,
        colour_key([*legend], [*legend.values()]) +
        f'<div class="grid plots">{body}</div>')


def _images(
        root: str) -> Tuple[List[str], List[Path], List[int], List[str]]:
    """Class, path and row of evenly chosen test images, frequent classes."""
    lists = read_voc_lists(root)
    test = lists['test']
    chosen = np.unique(
        np.linspace(0,
                    len(test.ids) - 1, min(_MOST, len(test.ids))).astype(int))
    counts: Dict[str, int] = Counter()
    for index in chosen:
        counts.update(_classes(test, index))
    # Rare ones first: most images show a person too.
    names = [
        min(_classes(test, index), key=counts.__getitem__, default='none')
        for index in chosen
    ]
    frequent = [name for name, _ in Counter(names).most_common(_COLOURS)]
    before = len(lists['trainval'].ids)
    return (names, [
        Path(root) / 'JPEGImages' / f'{test.ids[index]}.jpg'
        for index in chosen
    ], [before + int(index) for index in chosen], frequent)


def _classes(lists, index: int) -> List[str]:
    return [
        name for name, label in zip(lists.classes, lists.labels[index])
        if label == 1
    ]


def _colour_of(name: str, frequent: Sequence[str]) -> str:
    return colour(frequent.index(name)) if name in frequent else 'var(--soft)'
