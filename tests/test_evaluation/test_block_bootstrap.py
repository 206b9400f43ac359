# Copyright (c) mmmultissl contributors. All rights reserved.
import tracemalloc

import numpy as np
import pytest
from scipy.stats import bootstrap

from mmmultissl.evaluation import PretextScores
from mmmultissl.evaluation.block_bootstrap import block_bootstrap


def test_blocks_of_one_are_the_ordinary_bootstrap():
    values = np.random.default_rng(0).normal(size=60)
    theirs = bootstrap(
        (values, ), np.mean, n_resamples=20000, method='percentile',
        rng=np.random.default_rng(1)).confidence_interval
    np.testing.assert_allclose(
        block_bootstrap(values, 1, 20000), theirs, atol=0.01)


def test_the_interval_covers_the_mean_of_a_series_with_memory():
    # Each value is the mean of 8 successive drawn ones; the truth is 0.
    covered = {1: 0, 16: 0}
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(size=207)
        values = np.convolve(noise, np.ones(8) / 8, 'valid')
        for block in covered:
            low, high = block_bootstrap(values, block, 400, seed=seed)
            covered[block] += low <= 0 <= high
    assert covered[1] < 120  # single values pretend to know too much
    assert covered[16] > 164


def test_same_seed_same_interval_and_equal_values_none():
    values = np.arange(10.)
    assert block_bootstrap(values, 3, 50) == block_bootstrap(values, 3, 50)
    assert block_bootstrap(np.full(9, .5), 3) == (.5, .5)


def test_many_values_need_little_memory_and_give_the_same():
    values = np.random.default_rng(0).normal(size=2000)
    random = np.random.default_rng(3)
    starts = random.integers(2000, size=(10000, 67))
    index = (starts[:, :, None] + np.arange(30)) % 2000
    means = values[index.reshape(10000, -1)[:, :2000]].mean(1)
    del index
    tracemalloc.start()
    found = block_bootstrap(values, 30, seed=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    tail = (1 - .95) / 2
    assert found == tuple(np.quantile(means, [tail, 1 - tail]))
    # The starts alone have 5 MB; all indices and values would have 320.
    assert peak < 32e6


@pytest.mark.parametrize('arguments, message', [
    (dict(block=6), 'blocks of 6: set'),
    (dict(block=0), 'blocks of 0: set'),
    (dict(block=2, level=1.), 'between 0 and 1'),
])
def test_what_cannot_be_computed(arguments, message):
    with pytest.raises(ValueError, match=message):
        block_bootstrap(np.arange(10.), **arguments)


def test_pretext_scores_with_intervals():
    metric = PretextScores(interval=dict(block=2, resamples=500))
    values = [1., 1., 0., .5, 1., .5]
    metric.process({}, [
        {'spatial.accuracy': value, 'batch_size': 1} for value in values])
    scores = metric.compute_metrics(metric.results)
    assert scores['spatial.accuracy'] == pytest.approx(np.mean(values))
    assert (scores['spatial.accuracy_low'],
            scores['spatial.accuracy_high']) == block_bootstrap(
                values, 2, 500)


def test_intervals_need_single_samples():
    metric = PretextScores(interval=dict(block=1))
    batches = [{'gap.accuracy': .5, 'batch_size': 2}] * 4
    with pytest.raises(ValueError, match='test_dataloader.batch_size=1'):
        metric.compute_metrics(batches)
