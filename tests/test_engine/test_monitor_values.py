# Copyright (c) mmmultissl contributors. All rights reserved.
"""The monitor's measures agree with closed forms and other people's code."""
import math

import numpy as np
import pytest
import torch
from scipy.special import hyp0f1
from sklearn.neighbors import KNeighborsClassifier

from mmmultissl.engine.hooks.monitor.alignment_uniformity import (
    alignment, alignment_of_similarities, uniformity)
from mmmultissl.engine.hooks.monitor.collapse import CollapseJudge
from mmmultissl.engine.hooks.monitor.effective_rank import effective_rank
from mmmultissl.engine.hooks.monitor.feature_memory import FeatureMemory
from mmmultissl.engine.hooks.monitor.monitor_hook import MonitorHook
from mmmultissl.engine.hooks.monitor.online_knn import score
from mmmultissl.engine.hooks.monitor.positive_rank import positive_rank
from mmmultissl.engine.hooks.monitor.queue_age import mean_age
from mmmultissl.engine.hooks.monitor.similarity import (linear_cka,
                                                        paired_cosine)
from mmmultissl.engine.hooks.monitor.spread import mean_cosine, scaled_std
from mmmultissl.engine.hooks.monitor.task_gradients import norms_and_cosines
from mmmultissl.evaluation.knn import KNNProtocol


def sphere(rows, dim):
    """Rows that are even on the sphere, of any length."""
    return torch.randn(rows, dim, dtype=torch.float64) * 3


def test_spread():
    x = sphere(40, 7)
    unit = torch.nn.functional.normalize(x, dim=1)
    pairs = (unit @ unit.t())[~torch.eye(40, dtype=torch.bool)]
    assert mean_cosine(x).item() == pytest.approx(pairs.mean().item())
    assert mean_cosine(torch.ones(5, 3)).item() == pytest.approx(1)
    assert mean_cosine(torch.eye(4)).item() == pytest.approx(0)
    # 1 for an isotropic cloud, 0 for one point.
    assert scaled_std(sphere(4000, 32)).item() == pytest.approx(1, abs=0.02)
    assert scaled_std(torch.ones(5, 3)).item() == pytest.approx(0)


@pytest.mark.parametrize('dim', [2, 3, 8, 128])
def test_uniformity_of_random_vectors_has_a_closed_form(dim):
    """The mean of exp(k cos) over the sphere is 0F1(; d/2; k^2 / 4)."""
    expected = -4 + math.log(hyp0f1(dim / 2, 4))
    # 512 rows are taken of the 4000, evenly.
    found = [uniformity(sphere(4000, dim)).item() for _ in range(5)]
    assert np.mean(found) == pytest.approx(expected, abs=0.02)


def test_uniformity_and_alignment_by_hand():
    assert uniformity(torch.ones(5, 3)).item() == pytest.approx(0)
    # Two opposite points: squared distance 4.
    assert uniformity(torch.tensor([[2., 0.], [-1., 0.]])).item() == \
        pytest.approx(-8)
    query = torch.tensor([[3., 0.], [0., 1.], [1., 0.]])
    key = torch.tensor([[1., 0.], [5., 0.], [-1., 0.]])
    assert alignment(query, key).item() == pytest.approx((0 + 2 + 4) / 3)
    assert alignment_of_similarities(torch.tensor([1., 0., -1.])).item() == \
        pytest.approx(2)


def test_effective_rank_of_known_spectra():
    left = torch.linalg.qr(sphere(60, 60))[0]
    right = torch.linalg.qr(sphere(20, 20))[0]

    def with_spectrum(values):
        values = torch.tensor(values, dtype=torch.float64)
        return left[:, :len(values)] * values @ right[:len(values)]

    # k equal values: rank k.
    for k in (1, 5, 20):
        assert effective_rank(with_spectrum([2.] * k)).item() == \
            pytest.approx(k, rel=1e-4)
    share = np.array([8., 4., 2., 2.]) / 16
    entropy = -(share * np.log(share)).sum()
    x = with_spectrum([8., 4., 2., 2.])
    assert effective_rank(x).item() == pytest.approx(
        math.exp(entropy), rel=1e-4)
    # Fewer images than dimensions: the other Gram matrix, the same spectrum.
    assert effective_rank(x.t()).item() == pytest.approx(
        math.exp(entropy), rel=1e-4)
    assert effective_rank(100 * x.float()).item() == pytest.approx(
        math.exp(entropy), rel=1e-3)
    assert effective_rank(torch.zeros(5, 3)).item() == pytest.approx(
        1, abs=1e-3)


def test_positive_rank():
    eye = torch.eye(6)
    assert positive_rank(eye, eye).item() == 0
    # Everybody's own key is the only opposite one.
    assert positive_rank(eye, -eye).item() == 1
    # One point: all tie, which is chance.
    assert positive_rank(torch.ones(6, 3), torch.ones(6, 3)).item() == \
        pytest.approx(0.5)
    query, key = sphere(300, 16), sphere(300, 16)
    assert positive_rank(query, key).item() == pytest.approx(0.5, abs=0.06)
    similarity = torch.nn.functional.normalize(
        query, dim=1) @ torch.nn.functional.normalize(
            key, dim=1).t()
    ranks = [(row > row[i]).sum().item() for i, row in enumerate(similarity)]
    assert positive_rank(query, key).item() == pytest.approx(
        np.mean(ranks) / 299)


def test_likeness_of_encoders():
    x = sphere(200, 10)
    turned = 5 * x @ torch.linalg.qr(sphere(10, 10))[0]
    assert linear_cka(x, turned).item() == pytest.approx(1)
    assert abs(paired_cosine(x, turned).item()) < 0.9
    assert paired_cosine(x, 3 * x).item() == pytest.approx(1)
    # More dimensions than images: the biased estimate would be near 1.
    wide, other = sphere(100, 1000), sphere(100, 900)
    assert abs(linear_cka(wide, other).item()) < 0.1
    assert linear_cka(torch.ones(5, 3), sphere(5, 3)).isfinite()
    with pytest.raises(ValueError, match='needs 4'):
        linear_cka(x[:3], x[:3])


def test_cka_of_many_images_is_its_closed_form():
    """For Gaussian x and x + y of equal variance: 1/2 in the limit of many
    dimensions of equal weight; by the covariances for any."""
    x, y = sphere(3000, 6), sphere(3000, 6)
    both = x + y
    covariance = [torch.cov(part.t()) for part in (x, both)]
    cross = torch.cov(torch.cat([x, both], 1).t())[:6, 6:]
    expected = cross.square().sum() / (
        covariance[0].norm() * covariance[1].norm())
    assert linear_cka(x, both).item() == pytest.approx(
        expected.item(), abs=0.01)


@pytest.mark.parametrize('length, batch', [(12, 4), (10, 4), (3, 4), (0, 4)])
def test_age_of_keys(length, batch):
    ages = [j // batch for j in range(length)]
    assert mean_age(length, batch) == pytest.approx(
        np.mean(ages) if ages else 0)


def test_norms_and_cosines():
    grads = sphere(3, 50)
    grads[2] = 0
    found = norms_and_cosines(grads @ grads.t(), ['a', 'b', 'c'])
    assert found['norm/b'] == pytest.approx(grads[1].norm().item())
    assert found['cosine/a:b'] == pytest.approx(
        torch.cosine_similarity(grads[0], grads[1], dim=0).item())
    # A gradient of zero has no direction.
    assert set(found) == {'norm/a', 'norm/b', 'norm/c', 'cosine/a:b'}


def test_knn_accuracy_is_scikit_learns():
    centres = 1.2 * sphere(4, 12)
    classes = torch.randint(4, (300, ))
    x = centres[classes] + sphere(300, 12)
    table = np.where(np.arange(4) == classes.numpy()[:, None], 1, -1)
    found = score(x[:200], table[:200], x[200:], table[200:],
                  KNNProtocol((9, ), 0.1), True)
    unit = torch.nn.functional.normalize(x, dim=1).numpy()
    peer = KNeighborsClassifier(
        9, weights=lambda d: np.exp((1 - d**2 / 2) / 0.1), algorithm='brute')
    peer.fit(unit[:200], classes[:200].numpy())
    expected = 100 * peer.score(unit[200:], classes[200:].numpy())
    assert 30 < expected < 100
    assert found == {'knn/accuracy': pytest.approx(expected)}


def trunk(cosine, rank=0.5):
    return {
        'trunk/cosine': cosine,
        'trunk/uniformity': -1.,
        'trunk/positive_rank': rank
    }


def test_collapse_is_said_once_and_so_is_recovery():
    judge = CollapseJudge(patience=2, begin=100)
    assert judge.judge(trunk(1.), 50) == []
    assert judge.judge(trunk(.999), 100) == []
    said, = judge.judge(trunk(.998), 150)
    assert said.startswith('The features of different images have a mean '
                           'cosine of 0.998: the run has collapsed to one '
                           'point; ')
    assert judge.collapsed == ['trunk/cosine']
    # Between the thresholds nothing changes, nor by one measurement.
    for value in (.999, .98, .5, .98, .5):
        assert judge.judge(trunk(value), 200) == []
    said, = judge.judge(trunk(.4), 250)
    assert said.endswith('mean cosine of 0.400: the run is no longer '
                         'collapsed.')
    assert judge.collapsed == []


def test_a_high_cosine_alone_is_no_collapse():
    judge = CollapseJudge(patience=1, begin=0)
    assert judge.judge(trunk(.9985, rank=.2), 1) == []
    alone = {'trunk/cosine': .9985, 'trunk/uniformity': -.1}
    assert judge.judge(alone, 2) == []
    said, = judge.judge(trunk(.99996, rank=.2), 3)
    assert 'cosine of 0.99996' in said
    said, = judge.judge(trunk(.99, rank=.2), 4)
    assert 'no longer' in said
    # Chance is said too where the cosine is merely high.
    assert len(judge.judge(trunk(.995, rank=.45), 5)) == 1


def test_collapse_of_projections_dimensions_and_after_a_resume():
    judge = CollapseJudge(patience=2, begin=0)
    numbers = {
        'moco.queue/cosine': .99999,
        'moco.queue/uniformity': 0.,
        # Likeness to a teacher is no spread.
        'drift/remember/cosine': 1.,
        'gradient/cosine/a:b': 1.,
        'trunk/effective_rank': 1.5
    }
    said, = judge.judge(numbers, 1)
    assert 'effective rank of 1.5: the run has collapsed to few' in said
    resumed = CollapseJudge(patience=2, begin=0)
    resumed.load_state_dict(judge.state_dict())
    said, = resumed.judge(numbers, 2)
    assert said.startswith('The projections of the task moco (queue) of '
                           'different images have a mean cosine of 0.99999: '
                           'the task has collapsed')
    assert resumed.judge(numbers, 3) == []
    # A large common part, in which every positive is found all the same.
    healthy = CollapseJudge(patience=1, begin=0)
    assert healthy.judge({
        **trunk(.5, rank=0.), 'trunk/effective_rank': 1.5
    }, 1) == []
    said, = resumed.judge({'trunk/effective_rank': 3.5}, 4)
    assert 'more dimensions again' in said
    with pytest.raises(ValueError, match='cosine <= certain'):
        CollapseJudge(cosine=0.99999)


def test_the_positive_of_the_last_batch_counts_where_the_rank_is_alone():
    low = {'trunk/effective_rank': 1.5}
    judge = CollapseJudge(begin=0)
    assert judge.judge(trunk(.5, rank=.05), 100) == []
    assert judge.judge(low, 130) == []
    resumed = CollapseJudge(begin=0)
    resumed.load_state_dict(judge.state_dict())
    assert resumed.judge(low, 160) == []
    assert resumed.judge(trunk(.5, rank=.3), 200) == []
    assert len(resumed.judge(low, 220)) == 1
    # Before the first batch nothing is known, unless none is to come.
    waits = CollapseJudge(begin=0)
    waits.sees_batches = MonitorHook().judge.sees_batches
    assert waits.judge(low, 30) == []
    waits.judge(trunk(.5, rank=.3), 50)
    assert len(waits.judge(low, 60)) == 1
    alone = MonitorHook(batch=None, collapse=dict(begin=0)).judge
    assert len(alone.judge(low, 30)) == 1


def test_the_memory_is_full_right_after_a_measurement_too():
    memory, rows = FeatureMemory(8), torch.randn(30, 4)
    for step in range(10):
        memory.add(trunk=rows[3 * step:3 * step + 3])
        assert torch.equal(memory.rows()['trunk'],
                           rows[max(0, 3 * step - 5):3 * step + 3])
    resumed = FeatureMemory(8)
    resumed.load_state_dict(memory.state_dict(), torch.device('cpu'))
    for each in (memory, resumed):
        each.add(trunk=rows[:2])
        assert torch.equal(each.rows()['trunk'][:6], rows[-6:])
