# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far the mean of a series that resembles its neighbours can be trusted"""
from typing import Tuple

import numpy as np

# Values that are gathered at once, so that memory stays at some megabytes.
_AT_ONCE = 2**18


def block_bootstrap(values: np.ndarray,
                    block: int,
                    resamples: int = 10000,
                    level: float = 0.95,
                    seed: int = 0) -> Tuple[float, float]:
    """Compute an interval for the mean of values that follow each other.

    The circular block bootstrap of Politis and Romano (1992): series of the
    same length are put together from runs of neighbours that start anywhere,
    the first value following the last one; the interval lies between the
    percentiles of their means. Clips of one recording overlap and resemble
    each other, so drawing them one by one would give an interval far too
    narrow.

    Args:
        values (np.ndarray): In their order, ``(n, )``.
        block (int): Values of a run, at least as many as resemble each other.
        resamples (int): Number of series. Defaults to 10000.
        level (float): Share of the means inside the interval.
            Defaults to 0.95.
        seed (int): Of the draw. Defaults to 0.

    Returns:
        tuple[float, float]: Lower and upper end.

    Raises:
        ValueError: If there are fewer than two blocks of values, or the level
            is no share.
    """
    values = np.asarray(values, dtype=np.float64)
    number = len(values)
    if block < 1 or 2 * block > number:
        raise ValueError(
            f'{number} values cannot be divided into blocks of {block}: set '
            'block to at least 1 and at most half their number.')
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f'An interval of level {level} by {resamples} '
                         'resamples: set a level between 0 and 1, and at '
                         'least one resample.')
    random = np.random.default_rng(seed)
    starts = random.integers(number, size=(resamples, -(-number // block)))
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // number)
    for first in range(0, resamples, step):
        some = starts[first:first + step]
        index = (some[:, :, None] + np.arange(block)) % number
        index = index.reshape(len(some), -1)[:, :number]
        means[first:first + step] = values[index].mean(1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
