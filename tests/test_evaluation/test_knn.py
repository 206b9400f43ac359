# Copyright (c) mmmultissl contributors. All rights reserved.
import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from mmmultissl.evaluation.knn import KNNProtocol, evaluate_knn
from mmmultissl.evaluation.svm import average_precision, normalize

from .test_protocol import NAMES, _data


def test_equals_scikit_learn():
    """Weighted means of labels are what its regressor computes."""
    train, labels, test, test_labels = _data()
    result = evaluate_knn(train, labels, test, test_labels, NAMES,
                          KNNProtocol(neighbours=(7, 30), temperature=0.1))
    x, z = normalize(train).numpy(), normalize(test).numpy()
    for k in (7, 30):
        # On unit vectors the nearest are the most similar.
        peer = KNeighborsRegressor(
            k, weights=lambda d: np.exp((1 - d**2 / 2) / 0.1),
            algorithm='brute')
        scores = peer.fit(x, (labels == 1).astype(float)).predict(z)
        aps = [
            100 * average_precision(test_labels[asked, c] == 1,
                                    scores[asked, c])
            for c, asked in enumerate((test_labels != 0).T)
        ]
        assert result['mAP_per_neighbours'][str(k)] == pytest.approx(
            np.mean(aps), abs=1e-3)
    assert result['mAP'] == result['mAP_per_neighbours']['7']
    assert result['mAP'] == pytest.approx(
        np.mean([row['ap'] for row in result['classes'].values()]))


def test_by_hand():
    train = torch.tensor([[1., 0.], [0.8, 0.6], [0., 1.], [-1., 0.]])
    labels = np.array([[1], [-1], [1], [-1]])
    test = torch.tensor([[1., 0.1], [0.6, 0.8], [-1., -0.1]])
    test_labels = np.array([[-1], [1], [-1]])
    one = evaluate_knn(train, labels, test, test_labels, ('cat', ),
                       KNNProtocol(neighbours=(1, )))
    # Nearest: a positive, a negative, a negative; the last two tie.
    assert one['mAP'] == pytest.approx(100 / 3)
    # With two neighbours the second image has a vote of the third's.
    two = evaluate_knn(train, labels, test, test_labels, ('cat', ),
                       KNNProtocol(neighbours=(2, ), temperature=10.))
    assert two['mAP'] == pytest.approx(50.)


def test_difficult_images_vote_or_not():
    train = torch.eye(3)
    labels = np.array([[0], [1], [-1]])
    test = torch.tensor([[1., 0.9, 0.], [0.1, 1., 0.9]])
    test_labels = np.array([[1], [-1]])

    def mAP(**kwargs):
        return evaluate_knn(train, labels, test, test_labels, ('cat', ),
                            KNNProtocol(neighbours=(2, ), **kwargs))['mAP']

    # The first image's nearest is difficult: as a vote for absent it loses.
    assert mAP(difficult_train='ignore') == 100.
    assert mAP() == 50.


def test_left_out_and_bad_choices():
    train, labels, test, test_labels = _data()
    test_labels[:, 2] = -1
    protocol = KNNProtocol(neighbours=(5, ))
    result = evaluate_knn(train, labels, test, test_labels, NAMES, protocol)
    assert result['left_out'] == {'cow': 'no positive test image'}
    assert list(result['classes']) == ['cat', 'dog']
    with pytest.raises(ValueError, match='No class has a positive'):
        evaluate_knn(train, labels, test, 0 * test_labels, NAMES, protocol)
    with pytest.raises(ValueError, match='200 nearest neighbours.*90 train'):
        evaluate_knn(train, labels, test, test_labels, NAMES)
    for bad in (dict(neighbours=()), dict(neighbours=(0, )),
                dict(temperature=0.)):
        with pytest.raises(ValueError, match='Nearest neighbours need'):
            KNNProtocol(**bad)
    with pytest.raises(ValueError, match='difficult_train'):
        KNNProtocol(difficult_train='maybe')
