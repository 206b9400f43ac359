# Copyright (c) mmmultissl contributors. All rights reserved.
"""Geometry of the features of one batch: trunk and projections."""
import re
from typing import Optional, Tuple

from torch import Tensor

from mmmultissl.models.selfsup import MultiSSL

from .alignment_uniformity import (alignment, alignment_of_similarities,
                                   uniformity)
from .measurement import Measurement, Numbers
from .positive_rank import positive_rank
from .spread import mean_cosine, scaled_std
from .step import Contrast, Step

TRUNK = 'trunk'
_VIEW = re.compile(r'view\d+')


class BatchGeometry(Measurement):
    """Spread, uniformity, alignment and rank of the positive in a batch.

    Of the trunk: the pooled features of the first view that it encodes.
    Positives are two views that mmpretrain's naming (``view0``, ``view1``)
    makes views of one image; the second is taken from the EMA trunk where
    the online trunk does not encode it. Of each queue: the queries and their
    positives, as the loss sees them.

    Each process looks at its own batch, and those of the first are logged.

    Args:
        interval (int): Iterations between two measurements. Defaults to 50.
    """

    # Keys are put back into the order of the batch by all of them.
    on_all_ranks = True

    def __init__(self, interval: int = 50) -> None:
        super().__init__(interval)
        self._step: Optional[Step] = None

    def see(self, step: Step) -> None:
        """Keep the step.

        Args:
            step (Step): What was seen of it.
        """
        self._step = step

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Measure the batch that was seen.

        Args:
            model (MultiSSL): Not used.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``trunk/...`` and ``{task}.{queue}/...``.
        """
        step, self._step = self._step, None
        numbers = {}
        first = step.first
        if first is None or len(first) < 2:
            return numbers
        pair = _positives(step)
        numbers[f'{TRUNK}/cosine'] = mean_cosine(first)
        numbers[f'{TRUNK}/std'] = scaled_std(first)
        numbers[f'{TRUNK}/uniformity'] = uniformity(first)
        if pair is not None:
            numbers[f'{TRUNK}/alignment'] = alignment(*pair)
            numbers[f'{TRUNK}/positive_rank'] = positive_rank(*pair)
        for name, contrast in step.contrasts.items():
            for key, value in _of_contrast(contrast, len(first)).items():
                numbers[f'{name}/{key}'] = value
        return {name: float(value) for name, value in numbers.items()}


def _positives(step: Step) -> Optional[Tuple[Tensor, Tensor]]:
    online = [name for name in step.views if _VIEW.fullmatch(name)]
    if not online:
        return None
    query = step.views[online[0]]
    if len(online) > 1:
        return query, step.views[online[1]]
    for name, features in step.keys.items():
        if _VIEW.fullmatch(name) and name != online[0]:
            return query, features()
    return None


def _of_contrast(contrast: Contrast, rows: int) -> Numbers:
    query = contrast.query
    numbers = {
        'cosine': mean_cosine(query),
        'std': scaled_std(query),
        'uniformity': uniformity(query),
        'alignment': alignment_of_similarities(contrast.positive)
    }
    keys = contrast.keys(rows)
    if keys is not None:
        numbers['positive_rank'] = positive_rank(query, keys)
    return numbers
