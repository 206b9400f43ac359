# Copyright (c) mmmultissl contributors. All rights reserved.
"""Predicted directions beside the true one."""
import itertools
from html import escape
from typing import Dict, List, Tuple

import numpy as np
from mmpretrain.structures import DataSample

from mmmultissl.evaluation.binaural.azimuth_error import angular_error

from ..page import Section, colour_key, paragraphs
from ..runs import WorkDir
from ..svg import colour
from .frames import Mark, frame_of, marked_frame, true_marks
from .runs import Predictor

_CLIPS = 8
_TRUTH = 'var(--c2)'
_PAINTS = [colour(index) for index in (1, 4, 5, 6, 7)]


def azimuth_section(runs: Dict[str, WorkDir]) -> Section:
    """Draw every backbone's azimuth into some frames.

    Args:
        runs (dict[str, WorkDir]): Backbone to the training of its head.

    Returns:
        Section: The section.
    """
    paints = dict(zip(runs, itertools.cycle(_PAINTS)))
    predictors = {name: Predictor(work) for name, work in runs.items()}
    first = next(iter(predictors.values()))
    clips, numbers = first.clips, first.first_clips(_CLIPS)
    every = {name: it.predict() for name, it in predictors.items()}
    found = {
        name: [samples[number] for number in numbers]
        for name, samples in every.items()
    }
    cards = ''
    for place, number in enumerate(numbers):
        sample = next(iter(found.values()))[place]
        marks = true_marks(clips, number, sample, _TRUTH)
        marks += [
            Mark(samples[place].pred_azimuth, '', paints[name], True)
            for name, samples in found.items()
        ]
        off = ', '.join(f'{name} {_errors(samples)[place]:.0f}°'
                        for name, samples in found.items())
        frame = marked_frame(
            frame_of(clips, number, sample.heading), marks,
            clips.folder.panorama)
        cards += (f'<figure class=card>{frame}<figcaption>off by {escape(off)}'
                  '</figcaption></figure>')
    plots = ''.join(
        f'<figure class=card><h3>{escape(name)}</h3>'
        + _plot(samples, paints[name]) + '</figure>'
        for name, samples in every.items())
    caption = paragraphs(
        'Where the source is, and where the head on each frozen backbone says '
        f'that it is: all {len(clips)} held-out clips, then the middle clip '
        f'of each of the first {len(numbers)} recordings. In the plots right '
        'answers lie on the full line, across the true azimuth, upwards the '
        'predicted one. On the dashed lines front and back are taken for each '
        'other: they sound nearly alike to a head without outer ears, which a '
        'sphere is. An answer of 90 or -90 degrees names the side and leaves '
        'front and back open.')
    key = colour_key(['where it is', *runs], [_TRUTH, *paints.values()])
    return Section(
        'Azimuth', caption + key, f'<div class="grid plots">{plots}</div>'
        f'<div class="grid boxes">{cards}</div>')


def _plot(samples: List[DataSample], paint: str) -> str:
    """Predicted over true azimuth, left at the left and above."""
    side, edge = 360, 44
    scale = (side - 2 * edge) / 360

    def place(truth: float, found: float) -> Tuple[float, float]:
        return side / 2 - scale * truth, side / 2 - scale * found

    def line(start: Tuple[float, float], end: Tuple[float, float],
             dashes: str) -> str:
        (x0, y0), (x1, y1) = place(*start), place(*end)
        return (f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" '
                f'stroke="var(--soft)"{dashes}/>')

    dashes = ' stroke-dasharray="4 4"'
    parts = [
        f'<svg viewBox="0 0 {side} {side}" role=img>',
        line((-180, -180), (180, 180), ''),
        line((0, 180), (180, 0), dashes),
        line((0, -180), (-180, 0), dashes)
    ]
    for degrees in (180, 90, 0, -90, -180):
        x, y = place(degrees, degrees)
        parts.append(
            f'<text class=soft x="{x:.1f}" y="{side - 12}" '
            f'text-anchor=middle>{degrees}°</text>'
            f'<text class=soft x="{edge - 6}" y="{y + 4:.1f}" '
            f'text-anchor=end>{degrees}°</text>')
    for sample in samples:
        if not np.isnan(sample.azimuth):
            x, y = place(sample.azimuth, sample.pred_azimuth)
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r=3 '
                         f'fill-opacity=".6" style="fill:{paint}"/>')
    return ''.join(parts) + '</svg>'


def _errors(samples: List[DataSample]) -> np.ndarray:
    return angular_error(
        np.array([sample.pred_azimuth for sample in samples]),
        np.array([sample.azimuth for sample in samples]))
