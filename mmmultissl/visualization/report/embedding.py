# Copyright (c) mmmultissl contributors. All rights reserved.
"""Where the test images lie in each run's feature space, drawn in a plane."""
from collections import Counter
from typing import Dict, List, Sequence

import numpy as np
from torch import Tensor

from .page import Section, colour_key, paragraphs
from .pictures import Thumbnails
from .shown_images import ShownImage
from .svg import colour, scatter_plot

_MOST = 500
_COLOURS = 8


def embed(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Lay vectors out in a plane so that neighbours stay neighbours.

    t-SNE of scikit-learn, from the principal components.

    Args:
        features (np.ndarray): (N, D).
        seed (int): Of the layout. Defaults to 0.

    Returns:
        np.ndarray: (N, 2).
    """
    from sklearn.manifold import TSNE
    return TSNE(
        perplexity=min(30., (len(features) - 1) / 3),
        init='pca',
        random_state=seed).fit_transform(features)


def embedding_section(features: Dict[str, Tensor], images: List[ShownImage],
                      thumbnails: Thumbnails) -> Section:
    """Draw one plot per run.

    Args:
        features (dict[str, Tensor]): Run to unit vectors, (images, D).
        images (list[ShownImage]): What they are of.
        thumbnails (Thumbnails): Takes the pictures.

    Returns:
        Section: The section.
    """
    # Evenly over the list, which is sorted by name.
    kept = np.unique(
        np.linspace(0,
                    len(images) - 1, min(_MOST, len(images))).astype(int))
    shown = [images[index] for index in kept]
    frequent = [
        name for name, _ in Counter(image.main
                                    for image in shown).most_common(_COLOURS)
    ]
    colours = [_colour_of(image.main, frequent) for image in shown]
    classes = [thumbnails.add(image.path) for image in shown]
    body = ''
    for name, vectors in features.items():
        plot = scatter_plot(
            embed(vectors[kept].numpy()), colours, classes,
            [', '.join(sorted(image.classes)) for image in shown])
        body += f'<figure class=card><h3>{name}</h3>{plot}</figure>'
    names, paints = list(frequent), [colour(i) for i in range(len(frequent))]
    if any(image.main not in frequent for image in shown):
        names.append('other')
        paints.append('var(--soft)')
    caption = paragraphs(
        f'{len(shown)} of {len(images)} test images, each a point: images '
        'whose features are alike lie close together. The colour is the class '
        'of the largest object; labels had no part in training or layout. '
        'Point at a dot, or tap it, to see its picture.',
        't-SNE keeps neighbourhoods only: sizes of groups, the gaps between '
        'them and directions mean nothing. Judge by the results, not by this '
        'picture.')
    key = colour_key(names, paints)
    return Section('Embedding', caption,
                   f'{key}<div class="grid plots">{body}</div>')


def _colour_of(name: str, frequent: Sequence[str]) -> str:
    return colour(frequent.index(name)) if name in frequent else 'var(--soft)'
