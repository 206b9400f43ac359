# Copyright (c) mmmultissl contributors. All rights reserved.
"""DenseCL's matches between two views, checked by the known crops."""
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
from mmengine.config import Config
from mmengine.model import BaseModel

from mmmultissl.models.tasks.densecl import match_cells, unit_cells

from .encoders import last_maps
from .page import Section, paragraphs, table
from .pictures import data_uri, read_image
from .shown_images import ShownImage
from .tracked_view import Crop, make_view, view_steps

# Cells of a ResNet's last map have a stride of 32 pixels.
_SIZE = 7 * 32
_PAIRS = 64
_DRAWN = 2
_GAP = 24


class Matches(NamedTuple):
    """The matches of one pair of views.

    Attributes:
        key (np.ndarray): For each cell of the first view the matched cell of
            the second, (S, ) int.
        possible (np.ndarray): Whether the place that the cell shows is in the
            second view at all, (S, ) bool.
        right (np.ndarray): Whether the match is where it should be,
            (S, ) bool.
        same_place (np.ndarray): Whether the cell at the same place of the
            second view would have been right, (S, ) bool.
        chance (np.ndarray): The share of all cells of the second view that
            would have been right, (S, ).
    """
    key: np.ndarray
    possible: np.ndarray
    right: np.ndarray
    same_place: np.ndarray
    chance: np.ndarray


def check_matches(key: np.ndarray, first: Crop, second: Crop,
                  grid: Tuple[int, int]) -> Matches:
    """Compare matches with where the two views were cut out.

    A match is right if the centres of the two cells are at most one cell of
    the second view apart in the image, across as well as down (our choice:
    the true place rarely falls on a centre).

    Args:
        key (np.ndarray): For each cell of the first view, row by row, the
            matched cell of the second, (S, ) int.
        first (Crop): Where the first view comes from.
        second (Crop): Where the second view comes from.
        grid (tuple[int, int]): Rows and columns of cells, the same in both.

    Returns:
        Matches: The matches and what they are worth.
    """
    here, there = first.centres(*grid), second.centres(*grid)
    cell = np.array([second.width / grid[1], second.height / grid[0]])
    near = (np.abs(here[:, None] - there[None]) <= cell + 1e-6).all(2)
    return Matches(key, second.holds(here), near[np.arange(len(key)), key],
                   near.diagonal(), near.mean(1))


def find_matches(model: BaseModel, first: List[np.ndarray],
                 second: List[np.ndarray]) -> Tuple[np.ndarray, Tuple]:
    """Match cells as the DenseCL task does: arg max of the trunk's similarity.

    Args:
        model (BaseModel): The encoder, for both views (in training the second
            one is seen by its average).
        first (list[np.ndarray]): Views, BGR, uint8.
        second (list[np.ndarray]): The other views of the same images.

    Returns:
        tuple: Matched cells of the second views, (N, S) int, and the numbers
        of rows and columns.
    """
    maps = [last_maps(model, views) for views in (first, second)]
    rows, columns = maps[0].shape[2:]
    query, keys = (unit_cells(each, rows * columns) for each in maps)
    return match_cells(query, keys).numpy(), (rows, columns)


def correspondence_section(encoders: Dict[str, BaseModel], config: Config,
                           images: List[ShownImage]) -> Section:
    """Draw the matches of every run between the same pairs of views.

    Args:
        encoders (dict[str, BaseModel]): Run to encoder.
        config (Config): A pretraining config, whose views are taken.
        images (list[ShownImage]): Test images, the first of which are used.

    Returns:
        Section: The section.
    """
    steps = view_steps(config)
    views: Tuple[list, list] = ([], [])
    crops: Tuple[list, list] = ([], [])
    for number, image in enumerate(images[:_PAIRS]):
        for side in (0, 1):
            view, crop = make_view(
                read_image(image.path), steps, _SIZE, 2 * number + side)
            views[side].append(view)
            crops[side].append(crop)

    rows, cards = [], [''] * _DRAWN
    for name, model in encoders.items():
        matched, grid = find_matches(model, *views)
        checked = [
            check_matches(key, first, second, grid)
            for key, first, second in zip(matched, *crops)
        ]
        possible, right, same_place, chance = (
            np.concatenate([getattr(each, part) for each in checked])
            for part in ('possible', 'right', 'same_place', 'chance'))
        rows.append((name, f'{100 * right[possible].mean():.1f} %',
                     f'{right[possible].sum()} of {possible.sum()}'))
        # Pairs that overlap enough to show something, the first of the list.
        drawn = [
            index for index, each in enumerate(checked)
            if each.possible.mean() > .4
        ][:_DRAWN]
        for place, index in enumerate(drawn):
            pair = views[0][index], views[1][index]
            cards[place] += _card(name, pair, checked[index], grid)
    for name, worth in (('the cell at the same place', same_place),
                        ('any cell, by chance', chance)):
        rows.append((name, f'{100 * worth[possible].mean():.1f} %', ''))
    body = table(('matched by', 'right', 'cells'), rows)
    body += ''.join(f'<div class="grid pairs">{card}</div>' for card in cards)
    caption = paragraphs(
        'Two views of one image, cut out, mirrored and recoloured as in '
        'pretraining. DenseCL pairs each cell of the left view with the cell '
        'of the right view whose backbone features are most similar, and '
        'learns from the pair. Since the crops are known, so is the place '
        'where each cell should have landed.',
        'A line joins a cell with its match: full and blue where the match is '
        'at most one cell off, dashed and orange where it is elsewhere. Cells '
        'whose place is outside the right view have no line: they cannot be '
        'right. The table counts the first '
        f'{len(views[0])} test images. Views are {_SIZE} pixels here, larger '
        'than in a small pretraining, to have a grid worth drawing.',
        'Two rows need no learning: crops overlap, so that the same place in '
        'the other view is often right, and a network feels the borders of '
        'its image, which even random weights turn into places. Flat regions '
        'such as sky look alike everywhere, so that nobody comes near 100 %.')
    return Section('DenseCL\'s correspondences', caption, body)


def _card(name: str, pair: Tuple[np.ndarray, np.ndarray], matches: Matches,
          grid: Tuple[int, int]) -> str:
    """Draw one pair of views with lines between matched cells."""
    size = pair[0].shape[0]
    rows, columns = grid

    def centre(cell: int, shift: float) -> Tuple[float, float]:
        row, column = divmod(cell, columns)
        # Rows slope a little, or lines along them would hide each other.
        slope = .6 * ((column + .5) / columns - .5)
        return (shift + (column + .5) * size / columns,
                (row + .5 + slope) * size / rows)

    width = 2 * size + _GAP
    parts = [f'<svg viewBox="0 0 {width} {size}" role=img>']
    for view, shift in zip(pair, (0, size + _GAP)):
        parts.append(f'<image href="{data_uri(view)}" x="{shift}" y="0" '
                     f'width="{size}" height="{size}"/>')
    # The wrong ones first, so that the right ones lie on top.
    for right in (False, True):
        style = ('stroke="var(--right)"'
                 if right else 'stroke="var(--wrong)" stroke-dasharray="5 4"')
        for cell in np.flatnonzero(matches.possible
                                   & (matches.right == right)):
            start = centre(cell, 0)
            end = centre(int(matches.key[cell]), size + _GAP)
            parts.append(
                f'<path d="M{start[0]:.0f} {start[1]:.0f}L{end[0]:.0f} '
                f'{end[1]:.0f}" {style} stroke-width="1.8" '
                f'stroke-opacity="{.9 if right else .5}"/>')
            for x, y in (start, end):
                parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r=3 '
                             f'fill="var(--{"right" if right else "wrong"})"'
                             '/>')
    right = int((matches.right & matches.possible).sum())
    return (f'<figure class=card><h3>{name}: {right} of '
            f'{int(matches.possible.sum())} right</h3>{"".join(parts)}</svg>'
            '</figure>')
