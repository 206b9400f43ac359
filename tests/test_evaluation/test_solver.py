# Copyright (c) mmmultissl contributors. All rights reserved.
import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mmmultissl.evaluation.svm import BatchedLinear, SubsetSVC, logistic


def _problems(num, dim, count, seed=0):
    """Correlated non-negative features of norm 1, with a column of ones."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    features = torch.relu(randn(num, 8) @ randn(8, dim) + randn(num, dim) + 1)
    features = features / features.norm(dim=1, keepdim=True)
    features = torch.cat([features, features.new_ones(num, 1)], 1)
    centred = features - features.mean(0)
    sign = torch.sign(
        randn(count, dim + 1) @ centred.T + 0.3 * randn(count, num))
    kept = torch.rand(count, num, generator=generator) > 0.3
    return features, sign, kept


def _objective(weights, features, sign, weight):
    slack = (1 - sign * (weights @ features.T)).clamp(min=0)
    return 0.5 * weights.square().sum(1) + (weight * slack.square()).sum(1)


@pytest.mark.parametrize('num, dim', [(120, 20), (40, 90), (30, 30)])
@pytest.mark.parametrize('cost', [2e-6, 0.01, 1., 100.])
def test_equals_liblinear(num, dim, cost):
    features, sign, kept = _problems(num, dim, 3)
    weight = cost * kept * torch.where(sign > 0, 2., 1.).double()
    svm = BatchedLinear(features, tol=1e-9)
    solution, scores = svm.solve(sign, weight)
    weights = svm.weights(solution, sign, weight)
    objective = _objective(weights, features, sign, weight)
    for p in range(3):
        peer = LinearSVC(
            C=cost,
            class_weight={
                1: 2,
                -1: 1
            },
            dual=True,
            tol=1e-11,
            max_iter=10**6,
            random_state=0)
        rows = kept[p].numpy()
        peer.fit(features[rows, :-1], sign[p, rows])
        theirs = torch.from_numpy(
            np.append(peer.coef_[0], peer.intercept_[0]))
        scale = theirs.norm()
        assert (weights[p] - theirs).norm() < 1e-6 * scale
        decision = torch.from_numpy(peer.decision_function(features[:, :-1]))
        assert (scores[p] - decision).abs().max() < 2e-6 * scale
        peer_objective = _objective(theirs[None], features, sign[p], weight[p])
        # Exact, hence not above the peer's but for rounding.
        assert objective[p] <= peer_objective * (1 + 1e-12)


def test_gradient_certifies_the_tolerance():
    features, sign, kept = _problems(200, 30, 4)
    weight = 10. * kept
    svm = BatchedLinear(features, tol=1e-7)
    solution, scores = svm.solve(sign, weight)
    weights = svm.weights(solution, sign, weight).requires_grad_()
    _objective(weights, features, sign, weight).sum().backward()
    assert (weights.grad.norm(dim=1) <= 1.1e-7 * weights.norm(dim=1)).all()
    # Decision values are kept along while solving, for all samples.
    torch.testing.assert_close(
        scores, weights.detach() @ features.T, rtol=0, atol=1e-10)


def test_duality_gap_is_half_the_squared_gradient():
    features, sign, kept = _problems(60, 10, 1)
    weight = 3. * kept + 0.1
    weights = torch.full((1, 11), 0.2, dtype=torch.float64)
    primal = _objective(weights, features, sign, weight)
    slack = (1 - sign * (weights @ features.T)).clamp(min=0)
    alpha = 2 * weight * slack
    combined = (alpha * sign) @ features
    dual = (alpha.sum(1) - 0.5 * combined.square().sum(1) -
            (alpha.square() / (4 * weight)).sum(1))
    gradient = weights - combined
    torch.testing.assert_close(primal - dual, 0.5 * gradient.square().sum(1))


def test_batch_and_start_do_not_matter():
    features, sign, kept = _problems(100, 25, 6)
    weight = torch.logspace(-4, 1, 6, dtype=torch.float64)[:, None] * kept
    svm = BatchedLinear(features, tol=1e-9)
    together, _ = svm.solve(sign, weight)
    started, _ = svm.solve(sign, weight, torch.ones_like(together))
    alone = torch.cat(
        [svm.solve(sign[p:p + 1], weight[p:p + 1])[0] for p in range(6)])
    for other in (started, alone):
        assert ((together - other).norm(dim=1) <=
                1e-8 * together.norm(dim=1)).all()


def test_start_is_not_changed():
    features, sign, _ = _problems(50, 5, 2)
    svm = BatchedLinear(features)
    start = torch.ones(2, 6, dtype=torch.float64)
    svm.solve(sign, torch.ones_like(sign), start)
    assert (start == 1).all()


@pytest.mark.parametrize('features, words', [
    (torch.full((3, 2), float('nan')), 'not finite'),
    (torch.zeros(0, 2), 'matrix of features'),
    (torch.zeros(4), 'matrix of features'),
])
def test_bad_features(features, words):
    with pytest.raises(ValueError, match=words):
        BatchedLinear(features)


def test_unreachable_tolerance_is_an_error():
    features, sign, _ = _problems(50, 5, 2)
    svm = BatchedLinear(features, tol=1e-30)
    with pytest.raises(RuntimeError, match='did not reach the tolerance'):
        svm.solve(sign, torch.ones_like(sign))


@pytest.mark.parametrize('num, dim', [(120, 20), (40, 90)])
@pytest.mark.parametrize('cost', [0.01, 1., 100.])
def test_logistic_equals_liblinear(num, dim, cost):
    features, sign, kept = _problems(num, dim, 3)
    weight = cost * kept * torch.where(sign > 0, 2., 1.).double()
    # The basis is that of the SVM.
    solver = BatchedLinear(features).with_loss(logistic, 1e-9)
    solution, scores = solver.solve(sign, weight)
    weights = solver.weights(solution, sign, weight)
    torch.testing.assert_close(
        scores, weights @ features.T, rtol=1e-6, atol=1e-8)
    for p in range(3):
        peer = LogisticRegression(
            C=cost,
            class_weight={
                1: 2,
                -1: 1
            },
            solver='liblinear',
            tol=1e-12,
            max_iter=10**5)
        rows = kept[p].numpy()
        peer.fit(features[rows, :-1], sign[p, rows])
        theirs = torch.from_numpy(
            np.append(peer.coef_[0], peer.intercept_[0]))
        assert (weights[p] - theirs).norm() < 1e-5 * theirs.norm()


def test_direct_steps_and_conjugate_gradients_agree(monkeypatch):
    features, sign, kept = _problems(200, 40, 4)
    weight = 100. * kept
    direct = BatchedLinear(features, tol=1e-9)
    expected, _ = direct.solve(sign, weight)
    assert 'gram' in direct._kept
    # Without the Gram matrix there are no direct steps.
    monkeypatch.setattr('mmmultissl.evaluation.svm.solver._MAX_GRAM', 1)
    iterative = BatchedLinear(features, tol=1e-9)
    found, _ = iterative.solve(sign, weight)
    assert 'gram' not in iterative._kept
    assert ((found - expected).norm(dim=1) <=
            1e-8 * expected.norm(dim=1)).all()


@pytest.mark.parametrize('cost', [2e-6, 0.01, 1., 1000.])
def test_subsets_equal_the_whole(cost):
    features, sign, _ = _problems(90, 40, 4)
    rows = torch.stack([torch.randperm(90)[:25] for _ in range(4)])
    own = sign.gather(1, rows)
    weight = cost * torch.where(own > 0, 2., 1.).double()
    gram = features @ features.T
    svm = SubsetSVC(gram[rows[:, :, None], rows[:, None, :]], own, tol=1e-9)
    dual, scores = svm.solve(weight)
    found = torch.stack([a @ features[r] for a, r in zip(dual, rows)])
    whole = BatchedLinear(features, tol=1e-9)
    spread = torch.zeros_like(sign).scatter_(1, rows, weight)
    solution, _ = whole.solve(sign, spread)
    expected = whole.weights(solution, sign, spread)
    assert ((found - expected).norm(dim=1) <=
            1e-7 * expected.norm(dim=1)).all()
    torch.testing.assert_close(
        scores, (found @ features.T).gather(1, rows), rtol=1e-6, atol=1e-12)
    # From elsewhere it ends at the same place.
    again, _ = svm.solve(weight, torch.ones_like(dual))
    torch.testing.assert_close(again, dual, rtol=1e-5, atol=1e-9 * cost)


def test_subsets_with_an_unreachable_tolerance():
    gram = torch.eye(4).double()[None]
    sign = torch.tensor([[1, -1, 1, -1]])
    with pytest.raises(RuntimeError, match='did not reach the tolerance'):
        SubsetSVC(gram + 0.1, sign, tol=-1.).solve(torch.ones(1, 4))
