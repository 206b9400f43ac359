# Copyright (c) mmmultissl contributors. All rights reserved.
"""Spectrograms equal librosa's and torchaudio's; augmentations keep cues."""
import math

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

import mmmultissl.models  # noqa: F401
from mmmultissl.models.data_preprocessors.binaural_augment import mirrored
from mmmultissl.registry import MODELS

RATE = 16000
T = 8000


def build(name, **settings):
    return MODELS.build(dict(type=f'mmmultissl.{name}', **settings))


def preprocessor(**settings):
    return build('BinauralDataPreprocessor', **settings)


def sample(azimuth=30., heading=90., rotation=1, pairs=4, label=None):
    made = DataSample()
    values = dict(
        azimuth=azimuth, heading=heading, rotation=rotation, pairs=pairs,
        rotation_angle=90. * rotation, gap=2, recording='r', recording_id=0,
        start=0, swap=False)
    for name, value in values.items():
        made.set_field(value, name, field_type='metainfo')
    if label is not None:
        made.set_gt_label(label)
    return made


def ears(batch=3, microphones=2, level=3000):
    """Noise, every microphone at its own level, as int16."""
    levels = level / (1 + torch.arange(microphones)).view(-1, 1)
    return (torch.randn(batch, microphones, T) * levels).round().clamp(
        -32768, 32767).to(torch.int16)


def batch(**views):
    size = len(next(iter(views.values())))
    return dict(inputs=views, data_samples=[sample() for _ in range(size)])


def level_difference(maps):
    """Left above right, bin by bin, in the log domain."""
    return maps[:, 0] - maps[:, 1]


# Spectrograms


@pytest.mark.parametrize('length', [2 * RATE, 31999, 257])
def test_complex_and_log_power_equal_librosa(length):
    librosa = pytest.importorskip('librosa')
    waves = torch.randn(2, 3, length) * 0.1
    parts = build('Spectrogram', mode='complex')(waves)
    power = build('Spectrogram')(waves)
    frames = 1 + length // 160
    assert parts.shape == (2, 6, 257, frames)
    assert power.shape == (2, 3, 257, frames)
    assert parts.is_contiguous() and power.is_contiguous()
    for b in range(2):
        for m in range(3):
            theirs = librosa.stft(
                waves[b, m].numpy(), n_fft=512, hop_length=160,
                win_length=400, pad_mode='reflect')
            ours = torch.complex(parts[b, 2 * m], parts[b, 2 * m + 1]).numpy()
            assert np.abs(ours - theirs).max() < 1e-5
            log = np.log(
                np.maximum(theirs.real**2 + theirs.imag**2, 1e-5))
            assert np.abs(power[b, m].numpy() - log).max() < 1e-3


def test_log_power_equals_torchaudio():
    torchaudio = pytest.importorskip('torchaudio')
    waves = torch.randn(2, 2, T) * 0.1
    theirs = torchaudio.transforms.Spectrogram(
        n_fft=512, hop_length=160, win_length=400)(waves)
    ours = build('Spectrogram')(waves)
    assert torch.allclose(ours, theirs.clamp(min=1e-5).log(), atol=1e-4)


@pytest.mark.parametrize('mode', ['log_power', 'mel', 'complex'])
def test_gradients_of_waves(mode):
    """The way that keeps nothing for a backward pass gives the same values."""
    transform = build('Spectrogram', mode=mode, sample_rate=RATE)
    waves = torch.randn(2, 2, 2000, requires_grad=True)
    before = waves.detach().clone()
    maps = transform(waves)
    assert torch.allclose(maps, transform(before), atol=1e-6)
    assert torch.equal(waves, before)
    weights = torch.randn_like(maps)
    (maps * weights).sum().backward()
    # Along the gradient itself, so that the slope cannot be near zero.
    step = 1e-3 * waves.grad / waves.grad.norm()
    slope = ((transform(before + step) - transform(before - step)).double() *
             weights).sum() / 2e-3
    assert waves.grad.norm().item() == pytest.approx(slope.item(), rel=0.02)
    assert slope > 1


def test_mel_equals_librosa():
    librosa = pytest.importorskip('librosa')
    waves = torch.randn(1, 2, T) * 0.1
    maps = build('Spectrogram', mode='mel', n_mels=40, sample_rate=RATE)(waves)
    assert maps.shape == (1, 2, 40, 51)
    for m in range(2):
        theirs = librosa.feature.melspectrogram(
            y=waves[0, m].numpy(), sr=RATE, n_fft=512, hop_length=160,
            win_length=400, n_mels=40, pad_mode='reflect')
        assert np.abs(maps[0, m].numpy() -
                      np.log(np.maximum(theirs, 1e-5))).max() < 1e-3


def test_a_tone_is_where_and_as_loud_as_it_should_be():
    """A sine on bin 64 with amplitude a: power (a / 2 * sum of window)^2."""
    time = torch.arange(T) / RATE
    wave = 0.3 * torch.sin(2 * math.pi * 64 * RATE / 512 * time)
    maps = build('Spectrogram')(wave.view(1, 1, -1))[0, 0]
    # Frames that see no end.
    inner = maps[:, 3:-3]
    assert (inner.argmax(0) == 64).all()
    expected = 2 * math.log(0.3 / 2 * 200)
    assert torch.allclose(inner[64], torch.tensor(expected), atol=1e-3)


def test_floor_is_that_of_the_paper_s_family():
    maps = build('Spectrogram')(torch.zeros(1, 2, T))
    assert torch.equal(maps, torch.full_like(maps, math.log(1e-5)))


def test_autocast_does_not_coarsen_spectrograms():
    waves = torch.randn(2, 2, T) * 0.1
    for mode in ('log_power', 'complex', 'mel'):
        module = build('Spectrogram', mode=mode, sample_rate=RATE)
        plain = module(waves)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            cast = module(waves)
        assert cast.dtype == torch.float32 and torch.equal(plain, cast)


def test_spectrograms_leave_no_state():
    assert not build(
        'Spectrogram', mode='mel', sample_rate=RATE).state_dict()
    assert not preprocessor().state_dict()


@pytest.mark.parametrize('settings, words', [
    (dict(mode='power'), 'give one of log_power, mel, complex'),
    (dict(win_length=600), 'the window must fit'),
    (dict(hop_length=0), 'hop be at least 1'),
    (dict(mode='mel'), 'needs the sample_rate'),
])
def test_wrong_spectrograms_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        build('Spectrogram', **settings)


def test_too_short_clips_are_refused():
    with pytest.raises(ValueError, match='more than 256 samples.*have 256'):
        build('Spectrogram')(torch.zeros(1, 2, 256))


# Levels


def test_one_factor_for_all_ears_and_views():
    clip, shifted = ears(), ears(level=300)
    made = preprocessor(keep_waveforms=True)(
        batch(clip=clip, shifted=shifted))['inputs']
    waves = torch.cat([made['clip_waveform'], made['shifted_waveform']], 1)
    raw = torch.cat([clip, shifted], 1).double()
    factors = (waves.double() * raw).sum((1, 2)) / raw.square().sum((1, 2))
    # One factor per sample: nothing else has changed.
    assert torch.allclose(
        waves.double(), raw * factors.view(-1, 1, 1), rtol=1e-6)
    rms = waves.square().mean((1, 2)).sqrt()
    assert torch.allclose(rms, torch.full_like(rms, 0.1), rtol=1e-4)
    assert torch.equal(made['clip'],
                       build('Spectrogram')(made['clip_waveform']))


def test_level_differences_between_ears_are_kept():
    clip = ears()
    made = preprocessor()(batch(clip=clip))['inputs']['clip']
    # In float64, from the recorded numbers; louder than the floor.
    loud = preprocessor(target_rms=None)(
        batch(clip=clip))['inputs']['clip']
    inside = (loud > math.log(1e-5)).all(1) & (made > math.log(1e-5)).all(1)
    assert inside.float().mean() > 0.99
    assert torch.allclose(
        level_difference(made)[inside],
        level_difference(loud)[inside],
        atol=1e-4)
    expected = 10 * math.log10(
        clip[:, 0].double().square().sum() /
        clip[:, 1].double().square().sum())
    waves = preprocessor(keep_waveforms=True)(
        batch(clip=clip))['inputs']['clip_waveform'].double()
    got = 10 * math.log10(waves[:, 0].square().sum() /
                          waves[:, 1].square().sum())
    # The samples have different factors, so only about.
    assert got == pytest.approx(expected, abs=0.1)


def test_level_is_left_where_asked():
    clip = ears()
    made = preprocessor(target_rms=None, keep_waveforms=True)(
        batch(clip=clip))['inputs']
    assert torch.equal(made['clip_waveform'], clip.float() / 32768)


def test_silence_stays_and_is_counted():
    clip = ears()
    clip[1] = 0
    clip[2] = (torch.arange(T) % 2).to(torch.int16)  # one step of 16 bits
    made = preprocessor(keep_waveforms=True)
    waves = made(batch(clip=clip))['inputs']['clip_waveform']
    assert int(made.silent) == 2
    assert torch.equal(waves[1:], clip[1:].float() / 32768)
    assert torch.isfinite(waves).all()
    # A silent ear is no silence.
    clip = ears()
    clip[:, 1] = 0
    made(batch(clip=clip))
    assert int(made.silent) == 2


def test_full_scale_stays_finite():
    clip = torch.full((1, 2, T), -32768, dtype=torch.int16)
    clip[:, :, ::2] = 32767
    made = preprocessor(keep_waveforms=True)(batch(clip=clip))['inputs']
    assert torch.isfinite(made['clip']).all()
    assert made['clip_waveform'].abs().max() == pytest.approx(0.1, rel=1e-4)


# Pictures, labels and other views


def test_pictures_are_normalised_and_maps_left():
    frame = torch.randint(0, 256, (2, 3, 6, 8), dtype=torch.uint8)
    labels = torch.randint(0, 3, (2, 6, 8), dtype=torch.uint8)
    made = preprocessor()(batch(frame=frame, labels=labels))['inputs']
    mean = torch.tensor((123.675, 116.28, 103.53)).view(3, 1, 1)
    std = torch.tensor((58.395, 57.12, 57.375)).view(3, 1, 1)
    assert torch.allclose(made['frame'], (frame.float() - mean) / std)
    assert torch.equal(made['labels'], labels)


def test_lists_are_stacked_and_one_view_can_be_had_alone():
    clip = ears(4)
    data = batch(clip=clip)
    whole = preprocessor()(data)
    assert torch.equal(
        preprocessor()(dict(data, inputs=dict(clip=list(clip))))
        ['inputs']['clip'], whole['inputs']['clip'])
    alone = preprocessor(only='clip')(data)
    assert torch.equal(alone['inputs'], whole['inputs']['clip'])
    assert alone['data_samples'] == data['data_samples']
    with pytest.raises(KeyError, match='give the view "rotated"'):
        preprocessor(only='rotated')(data)


def test_views_of_no_known_kind_are_refused():
    with pytest.raises(TypeError, match=r'view "clip" as torch.float32 of'):
        preprocessor()(batch(clip=torch.zeros(2, 2, T)))


def test_augmenting_without_sound_is_refused():
    frame = torch.zeros(2, 3, 6, 8, dtype=torch.uint8)
    made = preprocessor(augments=[dict(type='mmmultissl.LeftRightSwap')])
    made(batch(frame=frame))
    with pytest.raises(ValueError, match='the batch has no sound'):
        made(batch(frame=frame), training=True)


# Augmentations


def augmented(name, views, training=True, **settings):
    made = preprocessor(
        augments=[dict(type=f'mmmultissl.{name}', **settings)],
        keep_waveforms=True)
    return made(batch(**views), training)


@pytest.mark.parametrize('name', [
    'SharedGain', 'LeftRightSwap', 'AddNoise', 'SpecAugment'
])
def test_draws_follow_the_seed_and_training(name):
    views = dict(clip=ears(6), rotated=ears(6))
    plain = preprocessor(keep_waveforms=True)(batch(**views))['inputs']

    def once(seed, training=True):
        torch.manual_seed(seed)
        return augmented(name, views, training)['inputs']

    first, again, other = once(1), once(1), once(2)
    for view in plain:
        assert torch.equal(first[view], again[view])
        assert torch.equal(once(1, training=False)[view], plain[view])
    for view in ('clip', 'rotated'):
        assert not torch.equal(first[view], other[view])
        assert not torch.equal(first[view], plain[view])


def test_gain_is_one_for_a_sample():
    views = dict(clip=ears(40), shifted=ears(40))
    plain = preprocessor(keep_waveforms=True)(batch(**views))['inputs']
    made = augmented('SharedGain', views, low=-6, high=3)['inputs']
    gains = [
        20 * torch.log10(made[f'{v}_waveform'].double().norm(dim=2) /
                         plain[f'{v}_waveform'].double().norm(dim=2))
        for v in views
    ]
    gains = torch.cat(gains, 1)  # (40, 4): two ears of two views
    assert torch.allclose(gains, gains[:, :1].expand_as(gains), atol=1e-5)
    assert -6 <= gains.min() < -4 and 1 < gains.max() <= 3
    assert len(gains[:, 0].unique()) == 40


def test_swap_mirrors_everything():
    torch.manual_seed(0)
    size = 40
    views = dict(
        clip=ears(size), rotated=ears(size), others=ears(size, 6),
        frame=torch.randint(0, 256, (size, 3, 4, 9), dtype=torch.uint8),
        labels=torch.randint(0, 3, (size, 4, 9), dtype=torch.uint8))
    plain = preprocessor()(batch(**views))
    made = augmented('LeftRightSwap', views)
    swapped = [s.swap for s in made['data_samples']]
    assert 10 < sum(swapped) < 30
    for n, swap in enumerate(swapped):
        before = {v: plain['inputs'][v][n] for v in views}
        after = {v: made['inputs'][v][n] for v in views}
        label = made['data_samples'][n]
        if not swap:
            for view in views:
                assert torch.equal(before[view], after[view])
            assert (label.azimuth, label.heading, label.rotation) == (
                30., 90., 1)
            continue
        for view in ('clip', 'rotated'):
            assert torch.equal(after[view], before[view][[1, 0]])
        # Pairs at 90, 180, 270 degrees: mirrored, 90 is what 270 was.
        assert torch.equal(after['others'],
                           before['others'][[5, 4, 3, 2, 1, 0]])
        for view in ('frame', 'labels'):
            assert torch.equal(after[view], before[view].flip(-1))
        assert (label.azimuth, label.heading) == (-30., -90.)
        assert (label.rotation, label.rotation_angle) == (3, -90.)
        assert label.gap == 2 and label.recording == 'r'
    # The samples of the loader are as they were.
    assert not any(s.swap for s in plain['data_samples'])


def test_swap_of_labels_is_its_own_inverse():
    for before in (sample(), sample(azimuth=180., heading=180., rotation=2),
                   sample(rotation=1, pairs=1, heading=0.),
                   sample(azimuth=float('nan'), rotation=0)):
        after = mirrored(mirrored(before))
        for name in before.metainfo_keys():
            assert str(after.get(name)) == str(before.get(name)), name
    # Of one pair, rotated means swapped, and stays so.
    assert mirrored(sample(rotation=1, pairs=1)).rotation == 1
    assert mirrored(sample(azimuth=180.)).azimuth == 180.


def test_swapped_head_hears_the_mirrored_world():
    """Swapping the clip swaps the answer: louder left, source on the left."""
    clip = ears(20)  # the left ear is louder
    made = augmented('LeftRightSwap', dict(clip=clip))
    waves = made['inputs']['clip_waveform'].square().sum(2)
    for louder_left, label in zip(waves[:, 0] > waves[:, 1],
                                  made['data_samples']):
        assert (label.azimuth > 0) == bool(louder_left)


def test_spec_augment_masks_both_ears_and_views_alike():
    views = dict(clip=ears(30), rotated=ears(30))
    plain = preprocessor()(batch(**views))['inputs']
    made = augmented(
        'SpecAugment', views, freq_width=20, time_width=8)['inputs']
    masks = []
    for view in views:
        changed = made[view] != plain[view]
        fill = plain[view].mean((1, 2, 3), keepdim=True).expand_as(changed)
        assert torch.equal(made[view][changed], fill[changed])
        assert torch.equal(changed[:, 0], changed[:, 1])
        masks.append(changed[:, 0])
    assert torch.equal(*masks)
    mask = masks[0]
    # Whole rows and columns, of at most two bands and two stretches.
    rows, columns = mask.all(2), mask.all(1)
    assert torch.equal(mask, rows[:, :, None] | columns[:, None])
    assert rows.sum(1).max() <= 40 and columns.sum(1).max() <= 16
    edges = rows.long().diff(dim=1, prepend=torch.zeros(30, 1).long())
    assert (edges == 1).sum(1).max() <= 2
    assert len({tuple(r.tolist()) for r in rows}) > 25


def test_spec_augment_covers_all_places():
    module = build('SpecAugment', freq_width=30, time_width=10)
    maps = torch.randn(2000, 1, 40, 12)
    made = module(dict(clip=maps), {}, [])[0]['clip']
    covered = (made != maps).all(3).float().mean((0, 1))
    assert covered.min() > 0.1
    # Widths larger than the map are cut to it, not an error.
    tiny = torch.randn(4, 1, 5, 3)
    assert module(dict(clip=tiny), {}, [])[0]['clip'].shape == tiny.shape


def test_noise_is_of_each_ear_and_at_the_drawn_level():
    views = dict(clip=ears(20), shifted=ears(20))
    plain = preprocessor(keep_waveforms=True)(batch(**views))['inputs']
    made = augmented('AddNoise', views, low=10, high=10)['inputs']
    noise = torch.cat([
        made[f'{v}_waveform'] - plain[f'{v}_waveform'] for v in views
    ], 1).double()
    # 10 dB below 0.1, in all ears of all views.
    level = noise.square().mean(2).sqrt()
    assert torch.allclose(
        level, torch.full_like(level, 0.1 * 10**-0.5), rtol=0.05)
    for a in range(4):
        for b in range(a):
            product = (noise[:, a] * noise[:, b]).mean(1) / 1e-3
            assert product.abs().max() < 0.06
    spread = augmented('AddNoise', views)['inputs']['clip_waveform']
    added = (spread - plain['clip_waveform']).square().mean((1, 2)).sqrt()
    decibels = -20 * torch.log10(added / 0.1)
    assert 19.5 < decibels.min() < 30 < 50 < decibels.max() < 60.5


@pytest.mark.parametrize('name, settings, words', [
    ('SharedGain', dict(low=3, high=1), 'give low first'),
    ('AddNoise', dict(low=60, high=20), 'give low first'),
    ('LeftRightSwap', dict(prob=2), 'from 0 to 1'),
    ('SpecAugment', dict(time_masks=-1), 'at least 0'),
])
def test_wrong_augmentations_are_refused(name, settings, words):
    with pytest.raises(ValueError, match=words):
        build(name, **settings)


def test_class_labels_survive():
    data = dict(
        inputs=dict(clip=ears(2)),
        data_samples=[sample(label=1), sample()])
    made = preprocessor()(data)['data_samples']
    assert made[0].gt_label.tolist() == [1] and 'gt_label' not in made[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_as_on_the_cpu():
    data = dict(
        inputs=dict(
            clip=ears(3),
            frame=torch.zeros(3, 3, 4, 4, dtype=torch.uint8)),
        data_samples=[sample(label=1), sample(), sample(label=0)])
    here = preprocessor()(data)
    there = preprocessor().to('cuda')(data)
    assert torch.allclose(
        here['inputs']['clip'], there['inputs']['clip'].cpu(), atol=1e-3)
    assert there['data_samples'][2].gt_label.device.type == 'cuda'
    assert data['data_samples'][2].gt_label.device.type == 'cpu'
