# Copyright (c) mmmultissl contributors. All rights reserved.
import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from mmmultissl.evaluation.svm import (LowShotProtocol, SVMProtocol,
                                       average_precision, draw_low_shot,
                                       evaluate_low_shot, normalize)
from mmmultissl.evaluation.svm.low_shot import low_shot_effort

from .test_protocol import NAMES, _data


def test_draws_are_those_of_the_protocol():
    _, labels, _, _ = _data(400)
    protocol = LowShotProtocol(shots=(4, ), samples=3)
    draw = draw_low_shot(labels, [0, 2], 4, protocol)
    # k positives and k (classes - 1) negatives: 4 and 4 * 2.
    assert draw.rows.shape == (3, 2, 12) and draw.columns == [0, 2]
    for sample in range(3):
        for c, rows, sign in zip((0, 2), draw.rows[sample], draw.sign[sample]):
            assert len(set(rows.tolist())) == 12
            # A difficult image is neither.
            assert labels[rows, c].tolist() == [1] * 4 + [-1] * 8
            assert sign.tolist() == [1] * 4 + [-1] * 8
    assert draw.rows[0].tolist() != draw.rows[1].tolist()
    # A draw depends on nothing but its seed, sample, shots and class.
    alone = draw_low_shot(labels, [2], 4, LowShotProtocol(samples=1))
    assert alone.rows[0, 0].tolist() == draw.rows[0, 1].tolist()
    other = draw_low_shot(labels, [2], 4, LowShotProtocol(samples=1, seed=1))
    assert other.rows.tolist() != alone.rows.tolist()
    more = draw_low_shot(labels, [2], 4,
                         LowShotProtocol(samples=1, negatives=5))
    assert (more.sign < 0).sum() == 20


def test_too_few_images():
    train, labels, test, test_labels = _data()
    labels[:, 1] = -1
    labels[:3, 1] = 1
    result = evaluate_low_shot(
        train, labels, test, test_labels, NAMES,
        SVMProtocol(costs=(1., )), LowShotProtocol(shots=(2, 4, 80)))
    shots = result['shots']
    assert shots['2']['classes'] == 3 and shots['2']['left_out'] == {}
    assert shots['4']['left_out'] == {'dog': '3 of 4 positive images'}
    assert shots['4']['classes'] == 2
    assert shots['80']['classes'] == 0 and 'mAP' not in shots['80']
    assert list(shots['80']['left_out']) == list(NAMES)


@pytest.mark.parametrize('dim', [12, 150])
@pytest.mark.parametrize('limit', [0, 400])
def test_equals_scikit_learn(dim, limit, monkeypatch):
    """Both solvers, against the protocol written down plainly."""
    monkeypatch.setattr('mmmultissl.evaluation.svm.low_shot._MAX_SUBSET',
                        limit)
    monkeypatch.setattr('mmmultissl.evaluation.svm.low_shot._MAX_GRAMS', 2000)
    train, labels, test, test_labels = _data(dim=dim)
    protocol = SVMProtocol(costs=(10., 0.01, 1.))
    low_shot = LowShotProtocol(shots=(2, 8), samples=3)
    done = []
    found = evaluate_low_shot(train, labels, test, test_labels, NAMES,
                              protocol, low_shot, done.append)
    assert sum(done) == low_shot_effort(labels, range(3), protocol, low_shot)

    x, z = normalize(train).numpy(), normalize(test).numpy()
    for k in (2, 8):
        draw = draw_low_shot(labels, range(3), k, low_shot)
        aps = np.zeros((3, 3, 3))
        for i, cost in enumerate(protocol.costs):
            for sample in range(3):
                for c in range(3):
                    svm = LinearSVC(
                        C=cost, class_weight={1: 2, -1: 1}, tol=1e-10,
                        max_iter=10**6)
                    rows = draw.rows[sample, c].numpy()
                    svm.fit(x[rows], draw.sign[sample, c].numpy())
                    asked = test_labels[:, c] != 0
                    aps[i, sample, c] = 100 * average_precision(
                        test_labels[asked, c] == 1,
                        svm.decision_function(z[asked]))
        per_cost = aps.mean((1, 2))
        best = per_cost.argmax()
        row = found['shots'][str(k)]
        assert row['mAP_per_cost'] == pytest.approx(per_cost, abs=1e-6)
        assert row['cost'] == protocol.costs[best]
        samples = aps[best].mean(1)
        assert row['mAP_per_sample'] == pytest.approx(samples, abs=1e-6)
        assert row['mAP'] == pytest.approx(samples.mean(), abs=1e-6)
        assert row['std'] == pytest.approx(samples.std(), abs=1e-6)
        assert (row['min'], row['max']) == pytest.approx(
            (samples.min(), samples.max()), abs=1e-6)


def test_by_scikit_learn():
    data = (*_data(), NAMES)
    low_shot = LowShotProtocol(shots=(3, ), samples=2)
    ours, theirs = (
        evaluate_low_shot(
            *data,
            SVMProtocol(costs=(1., 0.1), solver=solver, max_iter=10**6),
            low_shot) for solver in ('batched', 'sklearn'))
    assert ours['shots']['3']['mAP'] == pytest.approx(
        theirs['shots']['3']['mAP'], abs=0.1)
    assert theirs['unconverged_fits'] == 0


def test_more_shots_are_better():
    data = (*_data(600, dim=30), NAMES)
    result = evaluate_low_shot(*data, SVMProtocol(costs=(1., )),
                               LowShotProtocol(shots=(1, 8, 64)))
    aps = [result['shots'][k]['mAP'] for k in ('1', '8', '64')]
    assert aps[0] < aps[1] < aps[2]


def test_bad_choices():
    with pytest.raises(ValueError, match='at least one sample'):
        LowShotProtocol(shots=())
    with pytest.raises(ValueError, match='at least one sample'):
        LowShotProtocol(samples=0)
    with pytest.raises(ValueError, match='are SVMs'):
        evaluate_low_shot(*_data(), NAMES, SVMProtocol(loss='logistic'))
    train, labels, test, test_labels = _data()
    train[0, 0] = torch.inf
    with pytest.raises(ValueError, match='not finite'):
        evaluate_low_shot(train, labels, test, test_labels, NAMES)
