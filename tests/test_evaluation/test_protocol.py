# Copyright (c) mmmultissl contributors. All rights reserved.
import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold

from mmmultissl.evaluation.svm import (MMSELFSUP_COSTS, SVMProtocol,
                                       evaluate_svm, normalize,
                                       stratified_folds)
from mmmultissl.evaluation.svm.full import total_effort

NAMES = ('cat', 'dog', 'cow')


def _data(num=90, dim=12, seed=0):
    """Features that tell something of the labels, some of them difficult."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(2 * num, dim, generator=generator)
    directions = torch.randn(3, dim, generator=generator)
    noise = torch.randn(2 * num, 3, generator=generator)
    labels = np.where((hidden @ directions.T + 2 * noise).numpy() > 2, 1, -1)
    labels[::17, 0] = 0
    labels[5::19, 1] = 0
    features = torch.relu(hidden + 0.5)
    return features[:num], labels[:num], features[num:], labels[num:]


def test_costs_are_mmselfsups():
    assert len(MMSELFSUP_COSTS) == 19
    assert MMSELFSUP_COSTS[:4] == (1, 10, 100, 0.0625)
    assert MMSELFSUP_COSTS[-1] == 2.**-19


def test_normalize():
    features = torch.tensor([[3., 4.], [0., 0.]])
    torch.testing.assert_close(
        normalize(features),
        torch.tensor([[0.6, 0.8], [0., 0.]], dtype=torch.float64),
        rtol=1e-5,
        atol=0)


@pytest.mark.parametrize('seed', range(6))
def test_folds_are_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    sign = np.where(rng.random(50 + seed) < 0.2, 1, -1)
    ours = stratified_folds(sign, 3)
    for fold, (_, rows) in enumerate(StratifiedKFold(3).split(sign, sign)):
        assert np.flatnonzero(ours == fold).tolist() == rows.tolist()


def test_folds_by_hand():
    sign = np.array([-1, 1, 1, -1, -1, 1, -1])
    # Dealt round robin, -1 gets 2, 1, 1 and then 1 gets 1, 1, 1.
    assert stratified_folds(sign, 3).tolist() == [0, 0, 1, 0, 1, 2, 2]


@pytest.mark.parametrize('difficult, dim, loss', [
    ('negative', 12, 'squared_hinge'),
    ('negative', 150, 'squared_hinge'),
    ('ignore', 12, 'squared_hinge'),
    ('ignore', 150, 'squared_hinge'),
    ('ignore', 12, 'logistic'),
])
def test_solvers_agree(difficult, dim, loss):
    data = _data(dim=dim)
    results = [
        evaluate_svm(*data, NAMES,
                     SVMProtocol(
                         loss=loss,
                         solver=solver,
                         tol=tol,
                         max_iter=10**6,
                         difficult_train=difficult))
        for solver, tol in (('batched', None), ('sklearn', 1e-8))
    ]
    ours, theirs = results
    assert theirs['unconverged_fits'] == 0
    assert ours['mAP'] == pytest.approx(theirs['mAP'], abs=1e-6)
    for name in NAMES:
        for key in ('ap', 'cv_ap', 'cost', 'cv_ap_per_cost'):
            assert ours['classes'][name][key] == pytest.approx(
                theirs['classes'][name][key], abs=1e-6), (name, key)


def test_result():
    train, train_labels, test, test_labels = _data()
    done = []
    protocol = SVMProtocol(costs=(1, 0.1))
    result = evaluate_svm(train, train_labels, test, test_labels, NAMES,
                          protocol, done.append)
    assert sum(done) == pytest.approx(total_effort(protocol, 3))
    aps = [result['classes'][name]['ap'] for name in NAMES]
    assert result['mAP'] == pytest.approx(np.mean(aps))
    assert all(20 < ap <= 100 for ap in aps)
    row = result['classes']['cat']
    assert row['cost'] in (1., 0.1)
    assert row['cv_ap'] == max(row['cv_ap_per_cost'])
    assert row['train_counts']['difficult'] == (train_labels[:, 0] == 0).sum()
    assert sum(row['test_counts'].values()) == len(test)


def test_difficult_in_the_test_is_left_out():
    train, train_labels, test, test_labels = _data()
    protocol = SVMProtocol(costs=(1., ))
    before = evaluate_svm(train, train_labels, test, test_labels, NAMES,
                          protocol)
    # Whatever those images show, the class for which they are difficult does
    # not change.
    moved = test.clone()
    moved[test_labels[:, 0] == 0] = train[train_labels[:, 0] == 1].mean(0)
    after = evaluate_svm(train, train_labels, moved, test_labels, NAMES,
                         protocol)
    assert after['classes']['cat']['ap'] == before['classes']['cat']['ap']
    # Were they negatives, it would.
    as_negatives = np.where(test_labels == 0, -1, test_labels)
    other = evaluate_svm(train, train_labels, moved, as_negatives, NAMES,
                         protocol)
    assert other['classes']['cat']['ap'] != before['classes']['cat']['ap']


def test_difficult_in_training():
    train, labels, test, test_labels = _data()

    def ap(labels, train=train, **kwargs):
        result = evaluate_svm(train, labels, test, test_labels, NAMES,
                              SVMProtocol(costs=(1., ), **kwargs))
        return result['classes']['cat']

    as_negatives = np.where(labels == 0, -1, labels)
    assert ap(labels)['ap'] == ap(as_negatives)['ap']
    assert ap(labels)['cv_ap'] == ap(as_negatives)['cv_ap']
    # 'ignore' is the same as not having the images at all.
    kept = labels[:, 0] != 0
    alone = ap(labels[kept], train[kept])
    ignored = ap(labels, difficult_train='ignore')
    assert ignored['ap'] == pytest.approx(alone['ap'], abs=1e-9)
    assert ignored['cv_ap'] == pytest.approx(alone['cv_ap'], abs=1e-9)
    assert ignored['ap'] != ap(labels)['ap']


def test_first_of_equal_costs():
    # Separable: every cost ranks perfectly, so the first of the list is kept.
    features = torch.eye(2).repeat_interleave(9, 0)
    labels = np.repeat([[1], [-1]], 9, 0)
    for costs in ((1., 0.1, 10.), (10., 1., 0.1)):
        result = evaluate_svm(features, labels, features, labels, ('cat', ),
                              SVMProtocol(costs=costs))
        assert result['classes']['cat']['cost'] == costs[0]
        assert result['mAP'] == 100.


def test_classes_left_out():
    train, labels, test, test_labels = _data()
    labels[:, 1] = -1
    labels[:2, 1] = 1
    test_labels[:, 2] = np.where(test_labels[:, 2] == 1, 0, -1)
    result = evaluate_svm(train, labels, test, test_labels, NAMES,
                          SVMProtocol(costs=(1., )))
    assert result['left_out'] == {
        'dog': 'only 2 positive training images for 3 folds',
        'cow': 'no positive test image'
    }
    assert list(result['classes']) == ['cat']
    assert result['mAP'] == result['classes']['cat']['ap']
    labels[:, 0] = 1
    with pytest.raises(ValueError, match='No class.*cat: only 0 negative'):
        evaluate_svm(train, labels, test, test_labels, NAMES)


@pytest.mark.parametrize('kwargs, words', [
    (dict(costs=()), 'needs costs'),
    (dict(costs=(1, -1)), 'all of them positive'),
    (dict(folds=1), 'at least 2 folds'),
    (dict(difficult_train='maybe'), 'difficult_train'),
    (dict(solver='magic'), 'solver is one of'),
    (dict(loss='cubic'), 'loss is one of squared_hinge, logistic'),
])
def test_bad_protocol(kwargs, words):
    with pytest.raises(ValueError, match=words):
        SVMProtocol(**kwargs)


def test_features_not_finite():
    train, labels, test, test_labels = _data()
    for which in (train, test):
        bad = which.clone()
        bad[3, 2] = float('nan')
        pair = (bad, test) if which is train else (train, bad)
        with pytest.raises(ValueError, match='not finite'):
            evaluate_svm(pair[0], labels, pair[1], test_labels, NAMES)


def test_every_choice_is_described():
    words = ' '.join(SVMProtocol().describe().values())
    for part in ('squared hinge', 'present 2, absent 1', '1, 10, 100, 0.0625',
                 '3 folds', 'mmselfsup and VISSL', '1e-06'):
        assert part in words
