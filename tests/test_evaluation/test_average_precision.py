# Copyright (c) mmmultissl contributors. All rights reserved.
import numpy as np
import pytest
import torch
from mmpretrain.evaluation import AveragePrecision
from sklearn.metrics import average_precision_score

from mmmultissl.evaluation.svm import average_precision, average_precisions


def _brute_force(positive, scores):
    """Sum over positives of the best precision at their recall or beyond."""
    points = []
    for threshold in np.unique(scores):
        taken = scores >= threshold
        hits = positive[taken].sum()
        points.append((hits / positive.sum(), hits / taken.sum()))
    area, before = 0., 0.
    for recall in sorted({r for r, _ in points}):
        best = max(p for r, p in points if r >= recall)
        area += (recall - before) * best
        before = recall
    return area


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('ties', [False, True])
def test_against_others(seed, ties):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    scores = rng.normal(size=60) + positive
    if ties:
        scores = scores.round()
    ours = average_precision(positive, scores)
    assert ours == pytest.approx(_brute_force(positive, scores), abs=1e-12)
    step = average_precision(positive, scores, interpolated=False)
    assert step == pytest.approx(
        average_precision_score(positive, scores), abs=1e-12)
    assert step <= ours + 1e-12


def test_known_values():
    # Precisions at the positives 1 and 2/3; interpolation changes nothing.
    assert average_precision([1, 0, 1], [3, 2, 1]) == pytest.approx(5 / 6)
    # Precisions 1/2 and 2/3: the first is raised to 2/3.
    assert average_precision([0, 1, 1], [3, 2, 1]) == pytest.approx(2 / 3)
    assert average_precision([0, 1, 1], [3, 2, 1],
                             False) == pytest.approx(7 / 12)
    # All tied: one point, the share of positives.
    assert average_precision([0, 1, 0, 0], [0, 0, 0, 0]) == 0.25


def test_order_of_ties_does_not_matter():
    rng = np.random.default_rng(0)
    positive = rng.random(40) < 0.4
    scores = rng.integers(0, 4, 40)
    order = rng.permutation(40)
    assert average_precision(positive, scores) == average_precision(
        positive[order], scores[order])


def test_bad_input():
    with pytest.raises(ValueError, match='without a positive'):
        average_precision([0, 0], [1., 2.])
    with pytest.raises(ValueError, match='one score per sample'):
        average_precision([0, 1], [1.])


def test_many_at_once():
    rng = np.random.default_rng(0)
    positive = rng.random((4, 30)) < 0.4
    scores = rng.normal(size=(4, 30)).round(1)
    asked = rng.random((4, 30)) < 0.7
    for interpolated in (True, False):
        together = average_precisions(
            *map(torch.from_numpy, (positive, scores, asked)), interpolated)
        for row in range(4):
            rows = asked[row]
            assert float(together[row]) == pytest.approx(
                average_precision(positive[row, rows], scores[row, rows],
                                  interpolated), abs=1e-12)


def test_against_mmpretrain():
    # Its metric, too, leaves out images marked -1 and gives percent; its
    # curve is not interpolated.
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(50, 3, generator=generator)
    labels = torch.randint(-1, 2, (50, 3), generator=generator)
    theirs = AveragePrecision.calculate(scores, labels)
    ours = average_precisions(labels.T == 1, scores.T, labels.T != -1, False)
    assert 100 * ours.mean() == pytest.approx(float(theirs), abs=1e-4)
