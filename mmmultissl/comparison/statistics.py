# Copyright (c) mmmultissl contributors. All rights reserved.
"""What figures of several seeds say: means, paired differences, gains."""
import math
from typing import Dict, NamedTuple, Optional, Sequence

import numpy as np

# Of the intervals.
CONFIDENCE = .95

# Row -> column -> seed -> figure.
Figures = Dict[str, Dict[str, Dict[int, float]]]


class Spread(NamedTuple):
    """Figures of some seeds.

    Attributes:
        count (int): How many.
        mean (float): Their mean.
        deviation (float | None): Their standard deviation, of a sample
            (divided by count - 1); None for a single one.
    """
    count: int
    mean: float
    deviation: Optional[float]


class Difference(NamedTuple):
    """A row against another one, seed by seed.

    Attributes:
        count (int): Seeds that both have.
        mean (float): Mean of the differences.
        low (float | None): Lower end of the interval; None for one seed.
        high (float | None): Upper end.
    """
    count: int
    mean: float
    low: Optional[float]
    high: Optional[float]

    def sure(self, sign: int) -> Optional[bool]:
        """Say whether the interval leaves out zero.

        Args:
            sign (int): 1 where more is better, -1 where less is.

        Returns:
            bool | None: True where it is all better, False where all worse,
            None where it holds zero or does not exist.
        """
        if self.low is None or self.low <= 0 <= self.high:
            return None
        return sign * self.mean > 0


def spread_of(values: Sequence[float]) -> Optional[Spread]:
    """Compute mean and standard deviation.

    Args:
        values (Sequence[float]): One for each seed.

    Returns:
        Spread | None: None where there is no figure.
    """
    values = np.asarray(list(values), dtype=float)
    if not len(values):
        return None
    return Spread(
        len(values), float(values.mean()),
        float(values.std(ddof=1)) if len(values) > 1 else None)


def difference_of(values: Dict[int, float],
                  reference: Dict[int, float]) -> Optional[Difference]:
    """Compare two rows by the seeds that both have.

    The interval is Student's for the mean of the paired differences d of n
    seeds, mean(d) +- t(0.975, n - 1) sd(d) / sqrt(n): seeds are taken as a
    sample of all seeds, and differences as normal. It says nothing about
    other data.

    Args:
        values (dict[int, float]): Seed to figure.
        reference (dict[int, float]): Seed to figure of the other row.

    Returns:
        Difference | None: None where they share no seed.
    """
    seeds = sorted(set(values) & set(reference))
    found = spread_of([values[seed] - reference[seed] for seed in seeds])
    if found is None:
        return None
    if found.deviation is None:
        return Difference(found.count, found.mean, None, None)
    from scipy.stats import t
    half = float(t.ppf(.5 + CONFIDENCE / 2, found.count - 1)
                 ) * found.deviation / math.sqrt(found.count)
    return Difference(found.count, found.mean, found.mean - half,
                      found.mean + half)


def gains_of(figures: Figures, row: str, columns: Dict[str, int],
             singles: Sequence[str], best: bool = False) -> Dict[int, float]:
    """Compute the mean relative gain of a row over single tasks.

    Vandenhende et al., "Multi-Task Learning for Dense Prediction Tasks: A
    Survey" (TPAMI 2021), equation 3: the mean over T measures of
    (-1)^l (M_m - M_b) / M_b, with l = 1 where less is better. There each task
    has one single-task model b. Here tasks are trained and others judged, so
    M_b is our choice: the mean over the single-task rows, or for each measure
    the row among them that is best in the mean over the seeds. That row is
    chosen by the very figures it is compared with, so its mean is, in the
    mean, too good.

    Args:
        figures (dict): Row to column to seed to figure.
        row (str): The row.
        columns (dict[str, int]): Columns that count, with 1 where more is
            better and -1 where less is.
        singles (Sequence[str]): The single-task rows.
        best (bool): Whether M_b is the best single task. Defaults to False.

    Returns:
        dict[int, float]: Seed to gain, in per cent, of the seeds of which
        every figure is there and no M_b is 0.
    """
    gains: Dict[int, float] = {}
    wanted = [row, *singles]
    seeds = set.intersection(
        *(set(figures.get(name, {}).get(column, {}))
          for name in wanted for column in columns)) if columns else set()
    bases = {
        column: _best(figures, column, sign, singles) if best else singles
        for column, sign in columns.items()
    } if seeds else {}
    for seed in sorted(seeds):
        parts = []
        for column, sign in columns.items():
            base = float(
                np.mean([figures[name][column][seed]
                         for name in bases[column]]))
            if base != 0:
                value = figures[row][column][seed]
                parts.append(100 * sign * (value - base) / abs(base))
        if len(parts) == len(columns):
            gains[seed] = float(np.mean(parts))
    return gains


def _best(figures: Figures, column: str, sign: int,
          singles: Sequence[str]) -> Sequence[str]:
    """Choose the row with the best mean, as a list of one."""
    means = {name: sign * np.mean(list(figures[name][column].values()))
             for name in singles}
    return [max(means, key=means.get)]
