# Copyright (c) mmmultissl contributors. All rights reserved.
"""SVMs over folds, beside scikit-learn's pipeline of the same protocol."""
import numpy as np
import pytest
import torch

from mmmultissl.evaluation.binaural.fold_svm import (FoldClips, evaluate_folds,
                                                     standardise, vote)

CLASSES, FOLDS = 4, 4


def made(seed=0, recordings=48, per=(1, 4), spread=1.2, width=6):
    """Clips of recordings whose classes overlap, with unequal features."""
    rng = np.random.RandomState(seed)
    counts = rng.randint(*per, recordings)
    which = np.repeat(np.arange(recordings), counts)
    rng.shuffle(which)
    of_recording = np.arange(recordings) % CLASSES
    folds = np.arange(recordings) // CLASSES % FOLDS
    means = rng.randn(CLASSES, width)
    centre = means[of_recording] + spread * rng.randn(recordings, width)
    features = centre[which] + 0.3 * rng.randn(len(which), width)
    features = features * 10.**rng.randint(-2, 3, width) + 50
    clips = FoldClips(of_recording[which],
                      np.array([f'r{w:02d}' for w in which]), folds[which])
    return torch.from_numpy(features), clips


def linear_svc(cost, width):
    """In scikit-learn the features are not divided by the width's root."""
    svm = pytest.importorskip('sklearn.svm')
    return svm.LinearSVC(
        C=cost / width,
        dual=False,
        tol=1e-8,
        max_iter=100000,
        intercept_scaling=width**0.5)


def voted(decision, clips, rows):
    """Accuracy of recordings, in the plainest way."""
    right = []
    for name in sorted(set(clips.recordings[rows])):
        its = clips.recordings[rows] == name
        right.append(decision[its].mean(0).argmax() ==
                     clips.labels[rows][its][0])
    return np.mean(right)


def test_equals_scikit_learn():
    features, clips = made()
    costs, width = (0.1, 10., 1000.), features.shape[1]
    result = evaluate_folds(features, clips, 'abcd', costs)
    for found in result['folds']:
        test = clips.folds == found['fold']
        train = ~test
        # The features of inner folds are standardised by all of training.
        scaled = features.numpy() - features.numpy()[train].mean(0)
        scaled /= scaled[train].std(0)

        def judge(cost, held):
            used = train & ~held
            svm = linear_svc(cost, width).fit(scaled[used],
                                              clips.labels[used])
            return voted(svm.decision_function(scaled[held]), clips, held)

        figures = [
            np.mean([judge(cost, clips.folds == fold)
                     for fold in set(clips.folds[train])]) for cost in costs
        ]
        assert found['cost'] == costs[int(np.argmax(figures))]
        assert found['accuracy'] == pytest.approx(
            100 * judge(found['cost'], test))
        assert found['recordings'] == len(set(clips.recordings[test]))
    figures = [found['accuracy'] for found in result['folds']]
    assert 40 < min(figures) and max(figures) < 100
    assert result['accuracy'] == pytest.approx(np.mean(figures))
    assert result['std'] == pytest.approx(np.std(figures, ddof=1))
    # Every recording is judged once.
    confusion = np.array(result['confusion'])
    assert confusion.sum() == 48 and (confusion.sum(1) == 12).all()
    assert confusion.trace() / 48 == pytest.approx(result['accuracy'] / 100)


def test_training_clips_do_not_feel_the_test_fold():
    features, clips = made()
    held = torch.from_numpy(clips.folds == 2)
    changed = features.clone()
    changed[held] += 1e4
    assert torch.equal(
        standardise(changed, ~held)[~held],
        standardise(features, ~held)[~held])
    # Labels of the test fold, turned around: all that was right is wrong.
    labels = np.where(clips.folds == 2, 3 - clips.labels, clips.labels)
    turned = FoldClips(labels, clips.recordings, clips.folds)
    accuracy = [
        evaluate_folds(features, its, 'abcd', (1., ))['folds'][2]['accuracy']
        for its in (clips, turned)
    ]
    assert accuracy[0] > 50 and sum(accuracy) <= 100


def test_permuted_labels_are_chance():
    features, clips = made(recordings=160)
    rng = np.random.RandomState(1)
    names = np.unique(clips.recordings)
    drawn = dict(zip(names, rng.randint(0, CLASSES, len(names))))
    shuffled = FoldClips(
        np.array([drawn[name] for name in clips.recordings]),
        clips.recordings, clips.folds)
    result = evaluate_folds(features, shuffled, 'abcd', (0.1, 10.))
    assert 10 < result['accuracy'] < 40
    assert evaluate_folds(features, clips, 'abcd',
                          (0.1, 10.))['accuracy'] > 60


def test_standardised_features():
    features = torch.randn(50, 3, dtype=torch.float64) * 7 - 3
    features[:, 1] = 0.1
    training = torch.arange(50) < 30
    scaled = standardise(features, training)
    assert scaled.shape == (50, 4) and (scaled[:, 3] == 1).all()
    assert not scaled[:, 1].any()
    seen = scaled[training][:, [0, 2]] * 3**0.5
    torch.testing.assert_close(seen.mean(0), torch.zeros(2).double())
    torch.testing.assert_close(
        seen.var(0, correction=0), torch.ones(2).double())


def test_vote_by_hand():
    clips = FoldClips(
        np.array([1, 0, 1, 0]), np.array(['b', 'a', 'b', 'c']),
        np.array([0, 0, 0, 1]))
    scores = torch.tensor([[3., 1., 0., 9.], [1., 0., 4., 0.]])
    predicted, truth = vote(scores, clips, clips.folds == 0)
    # a: (1, 0); b: (1.5, 2.5)
    assert predicted.tolist() == [0, 1] and truth.tolist() == [0, 1]


def test_among_equal_costs_the_first_is_taken():
    features, clips = made(spread=0.01)
    result = evaluate_folds(features, clips, 'abcd', (10., 1.))
    assert result['accuracy'] == 100
    assert {found['cost'] for found in result['folds']} == {10.}


def test_unusable_clips_are_refused():
    labels, names = np.zeros(4, int), np.array(list('aabb'))
    with pytest.raises(ValueError, match='recording a is in two folds'):
        FoldClips(labels, names, np.array([0, 1, 1, 1]))
    with pytest.raises(ValueError, match='at least two folds, but got 1'):
        FoldClips(labels, names, np.zeros(4, int))
    features, clips = made()
    two = FoldClips(clips.labels, clips.recordings, clips.folds % 2)
    with pytest.raises(ValueError, match='needs three folds or more'):
        evaluate_folds(features, two, 'abcd', (1., 2.))
    assert len(evaluate_folds(features, two, 'abcd', (1., ))['folds']) == 2
    with pytest.raises(ValueError, match='not finite'):
        evaluate_folds(features * torch.nan, clips, 'abcd', (1., ))
    for cost in (0., -1., float('nan')):
        with pytest.raises(ValueError, match='give positive, finite ones'):
            evaluate_folds(features, clips, 'abcd', (1., cost))
