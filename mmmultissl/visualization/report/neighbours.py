# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which test images each run finds most alike."""
from html import escape
from typing import Dict, List

import numpy as np
from torch import Tensor

from .page import Section, paragraphs
from .pictures import Thumbnails
from .shown_images import ShownImage

_NEIGHBOURS = 5
_QUERIES = 8


def nearest(features: Tensor, count: int = _NEIGHBOURS) -> np.ndarray:
    """Find every image's nearest other images by cosine similarity.

    Args:
        features (Tensor): Unit vectors, (N, D).
        count (int): How many. Defaults to 5.

    Returns:
        np.ndarray: Indices, the nearest first, (N, count).
    """
    similarity = features @ features.T
    similarity.fill_diagonal_(-2.)  # not oneself
    return similarity.topk(count, dim=1).indices.numpy()


def share_right(found: np.ndarray, right: np.ndarray) -> float:
    """Measure how many neighbours share a class with their image.

    Args:
        found (np.ndarray): Indices of neighbours, (N, count).
        right (np.ndarray): Whether two images share a class, (N, N) bool.

    Returns:
        float: In percent.
    """
    return 100 * float(np.take_along_axis(right, found, 1).mean())


def classes_shared(images: List[ShownImage]) -> np.ndarray:
    """Say which images have a class in common.

    Args:
        images (list[ShownImage]): The images.

    Returns:
        np.ndarray: (N, N) bool.
    """
    names = sorted({name for image in images for name in image.classes})
    member = np.array([[name in image.classes for name in names]
                       for image in images],
                      dtype=int)
    return member @ member.T > 0


def neighbours_section(features: Dict[str, Tensor], images: List[ShownImage],
                       thumbnails: Thumbnails) -> Section:
    """Show some images with their neighbours in every run.

    Args:
        features (dict[str, Tensor]): Run to unit vectors, (images, D).
        images (list[ShownImage]): What they are of.
        thumbnails (Thumbnails): Takes the pictures.

    Returns:
        Section: The section.
    """
    right = classes_shared(images)
    count = min(_NEIGHBOURS, len(images) - 1)
    found = {name: nearest(f, count) for name, f in features.items()}
    others = len(images) - 1
    chance = 100 * float((right.sum(1) - right.diagonal()).mean()) / others
    shares = ', '.join(f'{name} {share_right(indices, right):.1f} %'
                       for name, indices in found.items())

    # The first image of each class in the list: nobody picked them.
    queries: Dict[str, int] = {}
    for index, image in enumerate(images):
        if image.main in image.classes:
            queries.setdefault(image.main, index)
    cards = ''
    for name in sorted(queries)[:_QUERIES]:
        query = queries[name]
        rows = ''.join(f'<span>{escape(run)}</span>' + ''.join(
            _marked(images[i], right[query, i], thumbnails)
            for i in indices[query]) for run, indices in found.items())
        cards += (f'<div class=card><h3>{escape(name)}</h3>'
                  f'{_picture(images[query], thumbnails)}'
                  f'<div class=near>{rows}</div></div>')
    caption = paragraphs(
        f'A test image of each class, the first in the list, and below it the '
        f'{count} other test images that each run finds most alike, the '
        'nearest first. ✓ marks an image that has a class in common with it, '
        '✗ one that has not.',
        f'Right among the {count} nearest of all {len(images)} test images: '
        f'{shares}; images drawn at random {chance:.1f} %. A neighbour may '
        'be alike in another way than its class, and counts as wrong here.')
    return Section('Nearest neighbours', caption,
                   f'<div class=grid>{cards}</div>')


def _picture(image: ShownImage, thumbnails: Thumbnails) -> str:
    label = escape(', '.join(sorted(image.classes)))
    return (f'<span class="thumb {thumbnails.add(image.path)}" role=img '
            f'aria-label="{label}" title="{label}"></span>')


def _marked(image: ShownImage, right: bool, thumbnails: Thumbnails) -> str:
    kind, sign = ('right', '✓') if right else ('wrong', '✗')
    return (f'<div class={kind}>{_picture(image, thumbnails)}<b>{sign}</b>'
            '</div>')
