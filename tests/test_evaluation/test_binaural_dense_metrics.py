# Copyright (c) mmmultissl contributors. All rights reserved.
"""Retrieval, S3R and semantic metrics against independent computations."""
import warnings

import numpy as np
import pytest
import torch
from scipy.signal import hilbert
from scipy.signal import stft as scipy_stft
from sklearn.metrics import jaccard_score

from mmmultissl.evaluation.binaural import (RetrievalRecall, S3RDistance,
                                            SemanticIoU)
from mmmultissl.evaluation.binaural.s3r_distance import envelope
from mmmultissl.evaluation.binaural.semantic_iou import class_overlaps


def clips(sounds, frames, recordings, starts):
    return [
        dict(
            sound_embedding=s,
            frame_embedding=f,
            recording_id=int(r),
            start=int(t))
        for s, f, r, t in zip(sounds, frames, recordings, starts)
    ]


def evaluate(metric, samples):
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def random_clips(count=40, size=8):
    generator = torch.Generator().manual_seed(0)
    sounds, frames = torch.nn.functional.normalize(
        torch.randn(2, count, size, generator=generator), dim=2)
    frames = torch.nn.functional.normalize(frames + 0.6 * sounds, dim=1)
    recordings, starts = np.divmod(np.arange(count), 8)
    return sounds, frames, recordings, starts * 100


@pytest.mark.parametrize('gallery', ['all', 'recordings', 'recording'])
@pytest.mark.parametrize('min_gap', [0, 250])
def test_recalls_by_loops(gallery, min_gap):
    sounds, frames, recordings, starts = random_clips()
    got = evaluate(
        RetrievalRecall([gallery], min_gap=min_gap),
        clips(sounds, frames, recordings, starts))
    for way, (queries, targets) in {
            'sound-to-frame': (sounds, frames),
            'frame-to-sound': (frames, sounds)
    }.items():
        ranks, sizes = [], []
        for i in range(len(queries)):
            others = []
            for j in range(len(targets)):
                same = recordings[i] == recordings[j]
                if i == j or same and abs(starts[i] - starts[j]) < min_gap:
                    continue
                # The fifth of eight clips is the one in the middle.
                if (gallery == 'all' or gallery == 'recording' and same
                        or gallery == 'recordings' and not same
                        and starts[j] == 400):
                    others.append(float(queries[i] @ targets[j]))
            own = float(queries[i] @ targets[i])
            ranks.append(1 + sum(other > own for other in others))
            sizes.append(1 + len(others))
        ranks, sizes = np.array(ranks), np.array(sizes)
        for k in (1, 5, 10):
            key = f'retrieval/{gallery}/{{}}_R@{k}'
            assert got[key.format(way)] == pytest.approx(
                100 * (ranks <= k).mean())
            assert got[key.format('chance')] == pytest.approx(
                100 * np.minimum(k / sizes, 1).mean())
        assert got[f'retrieval/{gallery}/{way}_median_rank'] == np.median(
            ranks)
        # Chance: all ranks, each as often as its gallery gives it.
        drawn = np.concatenate([
            np.repeat(np.arange(1, n + 1), 27720 // n) for n in sizes
            if 27720 % n == 0
        ]) if all(27720 % n == 0 for n in sizes) else None
        if drawn is not None:
            assert got[f'retrieval/{gallery}/chance_median_rank'] == \
                np.median(drawn)
    assert got[f'retrieval/{gallery}/queries'] == 40


def test_equal_vectors_give_exactly_chance():
    _, _, recordings, starts = random_clips()
    same = torch.nn.functional.normalize(torch.ones(40, 7), dim=1)
    got = evaluate(RetrievalRecall(), clips(same, same, recordings, starts))
    for gallery in ('all', 'recordings', 'recording'):
        for way in ('sound-to-frame', 'frame-to-sound'):
            for name in ('R@1', 'R@5', 'R@10', 'median_rank'):
                assert got[f'retrieval/{gallery}/{way}_{name}'] == \
                    pytest.approx(got[f'retrieval/{gallery}/chance_{name}'])
    assert got['retrieval/all/chance_R@5'] == pytest.approx(12.5)
    assert got['retrieval/all/chance_median_rank'] == 20.5


@pytest.mark.parametrize('lengths, min_gap', [
    ([10] * 20 + [40] * 6, 0), ([5] * 30 + [60] * 3, 0), ([10] * 6, 25)])
def test_equal_vectors_give_chance_in_uneven_galleries(lengths, min_gap):
    recordings = [n for n, count in enumerate(lengths) for _ in range(count)]
    starts = [10 * i for count in lengths for i in range(count)]
    same = torch.nn.functional.normalize(torch.ones(len(starts), 7), dim=1)
    got = evaluate(RetrievalRecall(min_gap=min_gap),
                   clips(same, same, recordings, starts))
    for gallery in ('all', 'recordings', 'recording'):
        for name in ('R@1', 'R@5', 'R@10', 'median_rank'):
            assert got[f'retrieval/{gallery}/sound-to-frame_{name}'] == \
                pytest.approx(got[f'retrieval/{gallery}/chance_{name}'])
    # By drawing: the median of ranks, each from its own gallery.
    generator = np.random.default_rng(0)
    sizes = [1 + sum(abs(a - b) >= min_gap and i != j
                     for j, (s, b) in enumerate(zip(recordings, starts))
                     if s == r)
             for i, (r, a) in enumerate(zip(recordings, starts))]
    drawn = np.median(generator.integers(1, np.array(sizes) + 1,
                                         (20000, len(sizes))))
    assert got['retrieval/recording/chance_median_rank'] == pytest.approx(
        drawn, abs=.5)


def test_vectors_that_are_no_numbers_are_refused():
    sounds, frames, recordings, starts = random_clips()
    sounds[3] = float('nan')
    with pytest.raises(ValueError, match='vectors of 1 of 40 sounds are not'):
        evaluate(RetrievalRecall(), clips(sounds, frames, recordings, starts))


def test_perfect_vectors_and_fewer_clips():
    eye = torch.eye(40)
    _, _, recordings, starts = random_clips()
    got = evaluate(
        RetrievalRecall(['all'], max_clips=11),
        clips(eye, eye, recordings, starts))
    assert got['retrieval/all/queries'] == 11
    assert got['retrieval/all/sound-to-frame_R@1'] == 100
    assert got['retrieval/all/frame-to-sound_median_rank'] == 1


def test_retrieval_that_cannot_be_judged():
    one = random_clips(3)
    samples = clips(one[0], one[1], range(3), [0] * 3)
    with pytest.raises(ValueError, match='"recording".* no clip besides'):
        evaluate(RetrievalRecall(['recording']), samples)
    with pytest.raises(ValueError, match="galleries=.'record'"):
        RetrievalRecall(['record'])
    with pytest.raises(ValueError, match='at least 2 clips'):
        RetrievalRecall(max_clips=1)


@pytest.mark.parametrize('length', [3200, 3201])
def test_envelope_is_that_of_scipy(length):
    waves = torch.randn(2, 3, length, dtype=torch.double)
    np.testing.assert_allclose(
        envelope(waves), np.abs(hilbert(waves.numpy())), atol=1e-10)


def waves_of(samples):
    source, predicted, target = [], [], []
    generator = torch.Generator().manual_seed(1)
    for _ in range(samples):
        source.append(torch.randn(2, 3200, generator=generator))
        predicted.append(torch.randn(3, 2, 3200, generator=generator))
        target.append(torch.randn(3, 2, 3200, generator=generator))
    return [
        dict(source_waves=s, pred_waves=p, target_waves=t)
        for s, p, t in zip(source, predicted, target)
    ]


def stft_by_scipy(wave):
    # A window of 400 in the middle of 512, frames centred by reflection.
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(wave, 256, mode='reflect')
    spectrum = scipy_stft(
        padded, window=window, nperseg=512, noverlap=352, boundary=None,
        padded=False)[2]
    return spectrum * window.sum()


def distances_by_scipy(predicted, target):
    stft = env = 0.
    for p, t in zip(predicted.double().numpy(), target.double().numpy()):
        difference = stft_by_scipy(p) - stft_by_scipy(t)
        stft += np.mean(
            np.stack([difference.real, difference.imag])**2)
        env += np.sqrt(
            np.mean((np.abs(hilbert(p)) - np.abs(hilbert(t)))**2))
    return stft, env


def test_s3r_distances_and_baselines_by_scipy():
    samples = waves_of(2)
    metric = S3RDistance()
    metric.process(None, samples[:1])
    metric.process(None, samples[1:])
    got = metric.evaluate(2)
    guesses = {
        '': lambda s, k: s['pred_waves'][k],
        'copy_': lambda s, k: s['source_waves'],
        'mono_': lambda s, k: s['source_waves'].mean(0).expand(2, -1),
        'silence_': lambda s, k: 0 * s['source_waves']
    }
    for name, guess in guesses.items():
        table = np.array([[
            distances_by_scipy(guess(s, k), s['target_waves'][k])
            for k in range(3)
        ] for s in samples])
        for place, figure in enumerate(('stft', 'env')):
            assert got[f's3r/{name}{figure}'] == pytest.approx(
                table[..., place].mean(), rel=1e-5)
            for k in range(3):
                assert got[f's3r/{name}{figure}_step{k + 1}'] == \
                    pytest.approx(table[:, k, place].mean(), rel=1e-5)


def test_perfect_s3r_is_zero():
    samples = waves_of(1)
    samples[0]['pred_waves'] = samples[0]['target_waves']
    got = evaluate(S3RDistance(), samples)
    assert got['s3r/stft'] == got['s3r/env'] == 0 < got['s3r/copy_stft']


def maps(count=3):
    rng = np.random.RandomState(0)
    truth = rng.randint(0, 4, (count, 12, 20))  # class 4 of 5 never occurs
    found = np.where(rng.rand(*truth.shape) < 0.5, truth,
                     rng.randint(0, 4, truth.shape))
    truth[rng.rand(*truth.shape) < 0.1] = 255
    return truth, found


def label_samples(truth, found):
    return [
        dict(
            gt_labels=torch.tensor(t, dtype=torch.uint8),
            pred_labels=torch.tensor(f, dtype=torch.uint8))
        for t, f in zip(truth, found)
    ]


def test_iou_is_that_of_scikit_learn():
    truth, found = maps()
    metric = SemanticIoU(num_classes=4)
    metric.dataset_meta = dict(classes=('a', 'b', 'c', 'never'))
    got = evaluate(metric, label_samples(truth, found))
    for where, judged in (('all', truth != 255),
                          ('foreground', (truth != 255) & (truth > 0))):
        expected = 100 * jaccard_score(
            truth[judged], found[judged], labels=[1, 2, 3], average=None)
        for name, value in zip('abc', expected):
            assert got[f'semantic/{where}/IoU_{name}'] == pytest.approx(value)
        assert np.isnan(got[f'semantic/{where}/IoU_never'])
        assert got[f'semantic/{where}/mIoU'] == pytest.approx(
            expected.mean())
        constant = max(
            np.mean(
                jaccard_score(
                    truth[judged],
                    np.full(judged.sum(), c),
                    labels=[1, 2, 3],
                    average=None)) for c in (1, 2, 3))
        assert got[f'semantic/{where}/constant_mIoU'] == pytest.approx(
            100 * constant)
    # Not of the mean, but told.
    judged = truth != 255
    assert got['semantic/all/IoU_background'] == pytest.approx(
        100 * jaccard_score(truth[judged] == 0, found[judged] == 0))


def test_iou_of_a_closed_form():
    confusion = torch.tensor([[5., 1., 0.], [2., 6., 0.], [0., 0., 0.]])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        got = class_overlaps(confusion)
    assert got[:2].tolist() == pytest.approx([500 / 8, 600 / 9])
    assert torch.isnan(got[2])


def test_labels_that_do_not_fit_are_explained():
    truth, found = maps(1)
    with pytest.raises(ValueError, match='2 classes, but a label is 3'):
        evaluate(SemanticIoU(2), label_samples(truth, found))
    metric = SemanticIoU(4)
    metric.dataset_meta = dict(classes=('a', 'b'))
    with pytest.raises(ValueError, match='4 classes, but the data set 2'):
        evaluate(metric, label_samples(truth, found))
    with pytest.raises(ValueError, match='No pixel'):
        evaluate(SemanticIoU(4), label_samples(truth * 0, found))
