# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is taken away is gone, in evaluation too, and nothing else is."""
import pytest
import torch

from mmmultissl.models.data_preprocessors import EvenBands
from tests.test_models.test_binaural_preprocessor import (batch, ears,
                                                          preprocessor)


def run(augments, recordings=None, seed=0, **views):
    torch.manual_seed(seed)
    data = batch(**views)
    ids = recordings or range(len(data['data_samples']))
    for sample, number in zip(data['data_samples'], ids):
        sample.set_field(number, 'recording_id', field_type='metainfo')
    return preprocessor(
        augments=[dict(type=f'mmmultissl.{name}') for name in augments],
        keep_waveforms=True)(data, training=False)


def numbered(size):
    return torch.arange(
        size, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)


def test_ears_become_their_mean_also_in_evaluation():
    torch.manual_seed(0)
    clip = ears(microphones=4)
    plain = run([], clip=clip)['inputs']['clip_waveform']
    mono = run(['MeanOfEars'], clip=clip)['inputs']['clip_waveform']
    for pair in range(2):
        want = plain[:, 2 * pair:2 * pair + 2].mean(1)
        torch.testing.assert_close(mono[:, 2 * pair], want)
        torch.testing.assert_close(mono[:, 2 * pair + 1], want)


def test_a_colour_that_stays_is_gone_and_ears_still_differ():
    """A colour is a constant for each band, alike in both ears."""
    torch.manual_seed(0)
    clip = ears()
    plain, even = (run(names, clip=clip)['inputs']['clip']
                   for names in ([], ['EvenBands']))
    torch.testing.assert_close(even[:, 0] - even[:, 1],
                               plain[:, 0] - plain[:, 1])
    bands = even.mean((1, 3))
    torch.testing.assert_close(
        bands, plain.mean((1, 2, 3))[:, None].expand_as(bands))
    coloured = plain + torch.randn(1, 1, plain.size(2), 1)
    found = EvenBands()(dict(clip=coloured), {}, [])[0]['clip']
    moved = coloured.mean((1, 2, 3)) - plain.mean((1, 2, 3))
    torch.testing.assert_close(found, even + moved.view(-1, 1, 1, 1))


def test_augmentations_for_training_stay_out_of_evaluation():
    torch.manual_seed(0)
    clip = ears()
    torch.testing.assert_close(
        run(['SharedGain'], clip=clip)['inputs']['clip_waveform'],
        run([], clip=clip)['inputs']['clip_waveform'])


def test_nobody_keeps_its_picture_and_all_pictures_move_together():
    torch.manual_seed(0)
    views = dict(clip=ears(5), frame=numbered(5), foreground=numbered(5))
    plain, moved = run([], **views), run(['ShuffledPictures'], **views)
    for view in ('frame', 'foreground'):
        same = (plain['inputs'][view] == moved['inputs'][view]).flatten(1)
        assert not same.all(1).any()
    torch.testing.assert_close(moved['inputs']['frame'],
                               moved['inputs']['foreground'])
    torch.testing.assert_close(plain['inputs']['clip'],
                               moved['inputs']['clip'])


@pytest.mark.parametrize('name, view', [('ShuffledPictures', 'frame'),
                                        ('ShuffledShifted', 'shifted')])
def test_partners_are_of_other_recordings_and_all_of_these(name, view):
    # In order, as a test split is, with one recording longer than the rest.
    recordings = [0, 0, 0, 0, 1, 1, 2]
    numbers = numbered(7)
    if view == 'shifted':
        numbers = numbers[:, 0, :1, :1].expand(-1, 2, 8000).short() + 1
    views = {'clip': ears(7), view: numbers}
    key = 'shifted_waveform' if view == 'shifted' else view
    own = run([], recordings, **views)['inputs'][key].flatten(1)[:, 0]
    seen = set()
    for seed in range(60):
        moved = run([name], recordings, seed, **views)['inputs'][key]
        partners = [(own == value).nonzero().item()
                    for value in moved.flatten(1)[:, 0]]
        seen.update(enumerate(partners))
    assert seen == {(one, other) for one in range(7) for other in range(7)
                    if recordings[one] != recordings[other]}


def test_shifted_clips_move_to_others_and_clips_stay():
    torch.manual_seed(0)
    views = dict(clip=ears(5), shifted=ears(5))
    plain, moved = run([], **views), run(['ShuffledShifted'], **views)
    torch.testing.assert_close(plain['inputs']['clip'],
                               moved['inputs']['clip'])
    assert not (plain['inputs']['shifted'] == moved['inputs']['shifted']
                ).flatten(1).all(1).any()


def test_labels_are_permuted_and_the_originals_left_alone():
    torch.manual_seed(0)
    data = batch(clip=ears(8))
    for number, sample in enumerate(data['data_samples']):
        sample.set_field(number, 'gap', field_type='metainfo')
    out = preprocessor(augments=[dict(type='mmmultissl.PermutedField')])(data)
    gaps = [sample.gap for sample in out['data_samples']]
    assert sorted(gaps) == list(range(8))
    assert [s.gap for s in data['data_samples']] == list(range(8))


def test_nobody_keeps_its_label():
    # One in e of all permutations would move everything by chance.
    torch.manual_seed(0)
    control = preprocessor(augments=[dict(type='mmmultissl.PermutedField')])
    for _ in range(12):
        data = batch(clip=ears(4))
        for number, sample in enumerate(data['data_samples']):
            sample.set_field(number, 'gap', field_type='metainfo')
        moved = [sample.gap for sample in control(data)['data_samples']]
        assert sorted(moved) == [0, 1, 2, 3]
        assert all(gap != number for number, gap in enumerate(moved))
    with pytest.raises(ValueError, match='a batch of one sample'):
        control(batch(clip=ears(1)))


@pytest.mark.parametrize('name', ['ShuffledPictures', 'ShuffledShifted'])
@pytest.mark.parametrize('size', [1, 3])
def test_a_batch_of_one_recording_is_an_error(name, size):
    with pytest.raises(ValueError, match='test_dataloader.sampler.shuffle'):
        run([name], [7] * size, clip=ears(size), shifted=ears(size),
            frame=numbered(size))


def test_a_missing_view_is_an_error():
    with pytest.raises(ValueError, match='no view "shifted"'):
        run(['ShuffledShifted'], clip=ears(2))
