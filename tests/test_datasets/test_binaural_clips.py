# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every number of a clip, frame and label is the one that was asked for."""
from collections import Counter
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch.utils.data import DataLoader

from mmmultissl.datasets import (BinauralClips, BinauralWriter, PassSampler,
                                 SeededDataset, UnreadableSampleError)
from mmmultissl.datasets.binaural import pictures
from mmmultissl.datasets.binaural.columns import fold
from mmmultissl.engine.runner import StrictRunner

from ..test_engine.resume_toy import assert_equal, final_state
from .binaural_toy import HEADINGS, RATE, coded, panorama, write_folder

T = 2 * RATE
ALL = ('clip', 'rotated', 'shifted', 'others', 'frame', 'foreground',
       'labels')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp('folder')))


def clips(root, **settings):
    return BinauralClips(root, **dict(dict(frame_size=(20, 72)), **settings))


def expected(recording, start, pair, pairs=4):
    """The sound of a pair, computed anew."""
    sound = coded(recording, 20 * RATE, 2 * pairs)
    return torch.from_numpy(sound[start:start + T,
                                  2 * pair:2 * pair + 2].T.copy())


def test_views_and_labels_agree_with_the_folder(root):
    data = clips(root, views=ALL)
    assert len(data) == 20
    seen = Counter()
    for index in list(range(20)) * 6:
        sample = data[index]
        views, label = sample['inputs'], sample['data_samples']
        recording, start = index // 10, 2 * RATE * (index % 10)
        assert (label.recording, label.recording_id, label.start) == (
            f'r{recording}', recording, start)
        pair = HEADINGS.index(label.heading)
        k, g = label.rotation, label.gap
        assert torch.equal(views['clip'], expected(recording, start, pair))
        turned = (pair + k) % 4
        assert torch.equal(views['rotated'], expected(recording, start,
                                                      turned))
        assert label.rotation_angle == fold(90. * k)
        assert fold(HEADINGS[turned] - label.heading) == fold(90. * k)
        assert torch.equal(views['shifted'],
                           expected(recording, start + g * T, pair))
        assert views['others'].shape == (6, T)
        for step in (1, 2, 3):
            assert torch.equal(
                views['others'][2 * step - 2:2 * step],
                expected(recording, start, (pair + step) % 4))
        assert label.azimuth == fold(40 - label.heading)
        assert label.gt_label.tolist() == [1]
        assert label.swap is False and label.pairs == 4
        assert {v.dtype for v in views.values()} == {torch.int16, torch.uint8}
        seen[pair, k] += 1
        seen['gap', g] += 1
    # All pairs with all rotations, all gaps with both signs.
    assert {key for key in seen if key[0] != 'gap'} == {
        (p, k) for p in range(4) for k in (1, 2, 3)
    }
    assert {g for kind, g in seen if kind == 'gap'} == {
        g for g in range(-5, 6) if g
    }


def test_frames_are_turned_as_the_head_is(root):
    """What was at azimuth h is in the centre: column W (0.5 - h / 360)."""
    data = clips(root, views=('frame', 'foreground', 'labels'))
    headings = set()
    for _ in range(20):
        sample = data[0]
        views, heading = sample['inputs'], sample['data_samples'].heading
        headings.add(heading)
        centre = int(72 * (0.5 - heading / 360)) % 72
        assert views['frame'].shape == (3, 20, 72)
        assert int(views['frame'][0, 5, 36]) == 3 * centre
        original = torch.from_numpy(panorama()).permute(2, 0, 1)
        columns = (torch.arange(72) + centre - 36) % 72
        assert torch.equal(views['frame'], original[:, :, columns])
        inside = (columns >= 30) & (columns < 40)
        grey = torch.tensor((124, 116, 104),
                            dtype=torch.uint8).view(3, 1, 1)
        assert torch.equal(views['foreground'],
                           torch.where(inside, original[:, :, columns], grey))
        assert torch.equal(views['labels'],
                           (2 * inside).to(torch.uint8).expand(20, -1))
    assert headings == set(HEADINGS)


def test_a_source_is_where_its_azimuth_says():
    """A dot painted at azimuth a is found at a - h after turning."""
    for azimuth in (-170., -60., 0., 35., 90., 180.):
        # A column a degree wide.
        column = int(180 - azimuth) % 360
        frame = np.zeros((2, 360, 3), np.uint8)
        frame[:, column] = 255
        for heading in (-90., 0., 30., 90., 180.):
            turned = pictures.turn(frame, heading)
            found = int(np.flatnonzero(turned[0, :, 0])[0])
            relative = fold(azimuth - heading)
            assert found == int(180 - relative) % 360


def test_frames_in_another_size(tmp_path, root):
    assert clips(root, frame_size=(10, 36))[0]['inputs']['frame'].shape == (
        3, 10, 36)
    # JPEG decoding at half size differs from averaging by a few levels only.
    rng = np.random.RandomState(0)
    picture = cv2.resize(
        rng.randint(0, 255, (12, 24, 3), np.uint8), (192, 96),
        interpolation=cv2.INTER_CUBIC)
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 99])
    for size in ((48, 96), (40, 80), (24, 48), (12, 24)):
        averaged = cv2.resize(
            picture, size[::-1], interpolation=cv2.INTER_AREA)
        got = pictures.read_frame(path, size).astype(int)
        assert got.shape == (*size, 3)
        assert np.abs(got - averaged).mean() < 2


def test_only_asked_views_are_made_and_draws_do_not_depend_on_them(
        root, monkeypatch):
    seeded = SeededDataset(clips(root), seed=3)
    full = [seeded[i, 0] for i in range(8)]
    monkeypatch.setattr(pictures, 'read_frame', None)
    few = SeededDataset(clips(root, views=('shifted', 'clip')), seed=3)
    for index, sample in enumerate(full):
        own = few[index, 0]
        assert set(own['inputs']) == {'clip', 'shifted'}
        assert torch.equal(own['inputs']['shifted'],
                           sample['inputs']['shifted'])
        assert own['data_samples'].gap == sample['data_samples'].gap


def test_samples_are_a_function_of_seed_pass_and_index(root):

    def batches(seed, workers):
        data = SeededDataset(clips(root, views=ALL), seed=seed)
        loader = DataLoader(
            data,
            sampler=PassSampler(data, seed=seed),
            batch_size=4,
            num_workers=workers,
            collate_fn=default_collate)
        return list(islice(loader, 8))

    one, two, other = batches(1, 0), batches(1, 2), batches(2, 0)
    for left, right in zip(one, two):
        assert_equal(left['inputs'], right['inputs'])
        assert [s.gap for s in left['data_samples']
                ] == [s.gap for s in right['data_samples']]
    assert any(not torch.equal(a['inputs']['clip'], b['inputs']['clip'])
               for a, b in zip(one, other))


def test_test_mode_is_fixed_and_in_front(root):
    data = clips(root, test_mode=True, start_jitter=1.)
    np.random.seed(1)
    first = [data[i] for i in range(20)]
    np.random.seed(2)
    for sample, again in zip(first, (data[i] for i in range(20))):
        assert_equal(sample['inputs'], again['inputs'])
        assert sample['data_samples'].gap == again['data_samples'].gap
    assert {s['data_samples'].heading for s in first} == {0.}
    assert {s['data_samples'].rotation for s in first} == {1, 2, 3}
    assert len({s['data_samples'].gap for s in first}) > 5
    assert all(s['data_samples'].start % T == 0 for s in first)


def test_start_jitter_stays_in_range_and_in_the_recording(root):
    data = clips(root, views=('clip', 'shifted'), start_jitter=0.3)
    starts = [data[i % 20]['data_samples'].start for i in range(200)]
    off = [start - T * (i % 10) for i, start in enumerate(starts)]
    assert max(abs(o) for o in off) <= 300 and len(set(off)) > 50
    assert min(starts) == 0 and max(starts) == 18 * RATE
    for index in (0, 9, 19):
        sample = data[index]
        label = sample['data_samples']
        assert torch.equal(
            sample['inputs']['clip'],
            expected(index // 10, label.start, HEADINGS.index(label.heading)))


def test_gaps_are_drawn_evenly_from_those_that_fit(root):
    data = clips(root, views=('shifted', ), max_gap=3)
    sizes = Counter(data[0]['data_samples'].gap for _ in range(600))
    # At the start of the recording all are later.
    assert set(sizes) == {1, 2, 3} and min(sizes.values()) > 150
    gaps = Counter(data[5]['data_samples'].gap for _ in range(600))
    assert set(gaps) == {-3, -2, -1, 1, 2, 3} and min(gaps.values()) > 60


def test_shifted_clips_are_clips_of_the_index(tmp_path):
    """What is silent is in no row, and would be told without the picture."""

    def starts(rows, **settings):
        root = tmp_path / '_'.join(map(str, rows))
        if not root.exists():
            with BinauralWriter(root, RATE, HEADINGS) as writer:
                writer.add_recording(
                    'r0', coded(0, 20 * RATE),
                    [dict(start=s * RATE, split='train') for s in rows], {})
        data = clips(root, views=('clip', 'shifted'), **settings)
        np.random.seed(0)
        samples = [data[i]['data_samples'] for i in range(len(data))
                   for _ in range(50)]
        return {(s.start + s.gap * 2 * RATE) / RATE for s in samples}, {
            s.start / RATE for s in samples}

    rows = (0, 2, 4, 10, 12, 18)
    shifted, own = starts(rows)
    assert shifted == own == set(rows)
    # 18 s is 3 clips from 12 s.
    assert starts(rows, max_gap=2)[1] == {0, 2, 4, 10, 12}
    assert starts(rows, listed_gaps=False)[0] == set(range(0, 20, 2))
    # Between neighbours of one stretch it sounds, too; 13 and 17 s are
    # farther from 15 s than half of 3 s.
    assert starts((0, 3, 6, 15), max_gap=1) == ({1, 2, 4, 5}, {0, 3, 6})


def test_jitter_leaves_every_gap_its_place(tmp_path):
    """Two clips in 4 s: neither may leave them, and both are heard."""
    write_folder(tmp_path, seconds=4)
    data = clips(tmp_path, views=('clip', 'shifted'), max_gap=1,
                 every_gap=True, start_jitter=.5)
    np.random.seed(0)
    for index in range(len(data)):
        for _ in range(20):
            sample = data[index]['data_samples']
            assert abs(sample.gap) == 1
            assert sample.start in (0, 2 * RATE)


def test_every_gap_leaves_out_rows(tmp_path):
    root = str(write_folder(tmp_path, seconds=10, frames=False))
    assert len(clips(root, views=('shifted', ), max_gap=4)) == 10
    # Of 10 s, only the first and the last clip are 4 clips from another.
    data = clips(root, views=('shifted', ), max_gap=4, every_gap=True)
    assert {data.get_data_info(i)['start'] // T for i in range(4)} == {0, 4}
    with pytest.raises(ValueError, match='too short for a shifted clip'):
        clips(root, views=('shifted', ), max_gap=5, every_gap=True)


def test_plain_stereo_swaps_ears_for_a_rotation(tmp_path):
    root = str(
        write_folder(tmp_path, headings=(0., ), panorama=False))
    data = clips(root, split='val')
    sample = data[3]
    assert torch.equal(sample['inputs']['clip'], expected(2, 3 * T, 0, 1))
    assert torch.equal(sample['inputs']['rotated'],
                       sample['inputs']['clip'].flip(0))
    assert sample['data_samples'].rotation == 1
    four_ways = clips(root, rotations=(0, 1, 2, 3))
    for _ in range(20):
        sample = four_ways[0]
        swapped = sample['inputs']['clip'].flip(0)
        turned = sample['data_samples'].rotation
        assert torch.equal(sample['inputs']['rotated'],
                           swapped if turned else sample['inputs']['clip'])
    with pytest.raises(ValueError, match='there is no other heading'):
        clips(root, views=('others', ))


def test_frames_without_panorama_keep_the_head_in_front(tmp_path):
    root = str(write_folder(tmp_path, panorama=False))
    for _ in range(20):
        sample = clips(root)[4]
        assert sample['data_samples'].heading == 0.
        assert torch.equal(sample['inputs']['frame'],
                           torch.from_numpy(panorama()).permute(2, 0, 1))
    heard = clips(root, views=('clip', ))
    assert {heard[4]['data_samples'].heading for _ in range(40)
            } == set(HEADINGS)


def test_two_headings_are_never_rotated_onto_themselves(tmp_path):
    root = str(write_folder(tmp_path, headings=(0., 180.), frames=False))
    data = clips(root, views=('clip', 'rotated'))
    assert {data[i]['data_samples'].rotation for i in range(20)} == {1}
    with pytest.raises(ValueError, match='cannot be rotated by'):
        clips(root, views=('rotated', ), rotations=(2, ))


def test_labels_that_are_not_known(tmp_path):
    root = write_folder(tmp_path, frames=False, classes=())
    index = tmp_path / 'index.csv'
    index.write_text(index.read_text().replace('40 -60', ''))
    label = clips(str(root), views=('clip', ))[0]['data_samples']
    assert np.isnan(label.azimuth) and 'gt_label' not in label


def test_rows_without_what_a_task_needs_are_left_out(tmp_path):
    root = write_folder(tmp_path)
    index = tmp_path / 'index.csv'
    lines = index.read_text().splitlines()
    assert all(',40 -60,' in line for line in lines[1:])
    lines[2:5] = [line.replace('40 -60', '') for line in lines[2:5]]
    index.write_text('\n'.join(lines))
    known = clips(str(root), needs=('azimuth', ))
    assert len(clips(str(root))) == 20 and len(known) == 17
    assert not any(np.isnan(known[i]['data_samples'].azimuth)
                   for i in range(len(known)))
    index.write_text(index.read_text().replace('40 -60', ''))
    with pytest.raises(ValueError, match='can give clip, azimuth, because '
                       'the index has no azimuth for them'):
        clips(str(root), views=('clip', ), needs=('azimuth', ))


def test_rows_that_cannot_give_the_views_are_said(tmp_path, monkeypatch):
    from mmmultissl.datasets.binaural import clips as module
    said = []
    monkeypatch.setattr(module, 'print_log',
                        lambda text, **kwargs: said.append(text))
    root = write_folder(tmp_path)
    index = tmp_path / 'index.csv'
    text = index.read_text()
    for old, new in (('r0,r0,18000', 'r0,r0,18001'),
                     ('r0,r0,4000,frames/r0.png', 'r0,r0,4000,'),
                     ('foreground/r0.png', '')):
        assert old in text
        text = text.replace(old, new, 1)
    index.write_text(text)
    whole = (tmp_path / 'audio/r1.npy').read_bytes()
    (tmp_path / 'audio/r1.npy').write_bytes(whole[:-2])
    data = clips(str(root))
    assert len(data) == 7
    path = tmp_path / 'audio'
    assert sorted(said) == sorted([
        f'{root}: 10 of 20 clips are left out, because the sound file is '
        'damaged or cut off: ' +
        ', '.join(f'{path}/r1.npy at {s} s' for s in (0, 2, 4, 6, 8)) + ', …',
        f'{root}: 1 of 20 clips are left out, because 2 s do not lie inside '
        f'the recording: {path}/r0.npy at 18.001 s',
        f'{root}: 1 of 20 clips are left out, because the index names no '
        f'frame for them: {path}/r0.npy at 4 s',
        f'{root}: 1 of 20 clips are left out, because the index names no '
        f'foreground for them: {path}/r0.npy at 0 s',
    ])
    # Without pictures, those two are used.
    assert len(clips(str(root), views=('clip', ))) == 9


@pytest.mark.parametrize('settings, words', [
    (dict(views=('sound', )), 'give some of clip, rotated'),
    (dict(views=()), 'give some of clip, rotated'),
    (dict(split='dev'), "got split='dev'"),
    (dict(split='test'), "no rows of split 'test'; its splits are train, val"),
    (dict(rotations=()), r'rotations=\(\); give whole steps'),
    (dict(rotations=(1.5, )), r'rotations=\(1.5,\); give whole steps'),
    (dict(max_gap=0), 'max_gap=0'),
    (dict(needs=('angle', )), "needs 'angle', which is no column"),
    (dict(max_gap=1.5), 'max_gap=1.5'),
    (dict(start_jitter=-1.), 'start_jitter=-1'),
    (dict(start_jitter=float('nan')), 'start_jitter=nan'),
    (dict(clip_seconds=0), 'clip_seconds=0; give seconds'),
    (dict(clip_seconds=float('nan')), 'clip_seconds=nan; give seconds'),
    (dict(clip_seconds=1e-9), 'clip_seconds=1e-09, less than a sample'),
    (dict(frame_size=(0, 0)), r'frame_size=\(0, 0\); give height'),
    (dict(frame_size=(64, )), r'frame_size=\(64,\); give height'),
    (dict(sample_rate=16000), 'sound at 1000 Hz, but sample_rate .* 16000'),
    (dict(clip_seconds=21.), '21 s do not lie inside the recording'),
])
def test_wrong_settings_are_refused(root, settings, words):
    with pytest.raises(ValueError, match=words):
        clips(root, **settings)
    assert len(clips(root, sample_rate=RATE)) == 20


def test_what_is_damaged_later_is_skipped_counted_and_named(tmp_path):
    root = write_folder(tmp_path)
    data = SeededDataset(clips(str(root)), seed=0)
    frame = tmp_path / 'frames/r0.png'
    whole = frame.read_bytes()
    for content in (whole[:-20], b'no picture', b''):
        frame.write_bytes(content)
        with pytest.raises(UnreadableSampleError, match='r0.png cannot be'):
            data.dataset[0]
    frame.unlink()
    with pytest.raises(UnreadableSampleError, match='r0.png of the index'):
        data.dataset[0]
    # Another one comes in its place.
    assert data[0, 0]['data_samples'].recording == 'r1'
    assert 0 in data.unreadable()
    assert data.name_of(0) == f'{tmp_path}/audio/r0.npy at 0 s'
    # And sound.
    audio = tmp_path / 'audio/r1.npy'
    content = audio.read_bytes()
    data = SeededDataset(clips(str(root), views=('clip', )), seed=0)
    audio.write_bytes(content[:1000])
    assert data[15, 0]['data_samples'].recording == 'r0'
    assert 15 in data.unreadable()


def test_digital_silence_is_skipped_in_training_only(tmp_path):
    root = write_folder(tmp_path)
    path = tmp_path / 'audio/r0.npy'
    sound = np.load(path)
    sound[:T] = 0
    np.save(path, sound)
    data = clips(str(root))
    with pytest.raises(UnreadableSampleError, match='r0.npy at 0 s is silent'):
        data[0]
    assert data[1]['inputs']['clip'].any()
    assert not clips(str(root), test_mode=True)[0]['inputs']['clip'].any()
    # One sample is enough not to be silent.
    sound[17] = 1
    np.save(path, sound)
    assert clips(str(root))[0]['inputs']['clip'].sum() == 2


def test_wrong_number_of_channels_is_said(tmp_path):
    root = write_folder(tmp_path)
    np.save(tmp_path / 'audio/r0.npy', coded(0, 20 * RATE, 4))
    with pytest.raises(ValueError, match='4 channels, but the index 4 head'):
        clips(str(root))[0]


@MODELS.register_module(force=True)
class BinauralToyModel(BaseModel):
    """A linear layer between two spectrograms, and a picture."""

    def __init__(self, data_preprocessor):
        super().__init__(data_preprocessor)
        self.net = torch.nn.Linear(17, 4)

    def forward(self, inputs, data_samples, mode='loss'):
        gaps = torch.tensor([float(s.gap) for s in data_samples])
        out = self.net(inputs['clip'].mean((1, 3)) -
                       inputs['shifted'].mean((1, 3)))
        loss = (out.mean(1) - gaps).square().mean()
        return {'gap.loss': loss + inputs['frame'].mean()}


def binaural_run(work_dir, root, resume=False, stop_at=None):
    """A run of eight steps, with everything that draws."""
    augments = ('LeftRightSwap', 'SharedGain', 'AddNoise', 'SpecAugment')
    model = dict(
        type='BinauralToyModel',
        data_preprocessor=dict(
            type='mmmultissl.BinauralDataPreprocessor',
            spectrogram=dict(
                type='mmmultissl.Spectrogram',
                n_fft=32,
                win_length=32,
                hop_length=16),
            augments=[dict(type=f'mmmultissl.{name}') for name in augments]))
    return StrictRunner.from_cfg(
        dict(
            model=model,
            work_dir=str(work_dir),
            train_dataloader=dict(
                dataset=dict(
                    type='mmmultissl.BinauralClips',
                    data_root=root,
                    views=('clip', 'shifted', 'frame'),
                    start_jitter=0.1,
                    frame_size=(10, 36)),
                sampler=dict(type='mmmultissl.PassSampler'),
                collate_fn=dict(type='default_collate'),
                batch_size=4,
                num_workers=1),
            train_cfg=dict(type='mmmultissl.PretrainLoop', max_iters=8),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='SGD', lr=1e-3, momentum=0.9)),
            param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False)],
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=4)),
            custom_hooks=[dict(type='StopHook', iteration=stop_at)],
            resume=resume,
            randomness=dict(seed=7),
            log_level='WARNING',
            default_scope='mmengine',
            experiment_name=f'{work_dir.name}_{stop_at}_{resume}'))


def test_a_run_that_was_cut_off_resumes_bit_for_bit(root, tmp_path):
    binaural_run(tmp_path / 'straight', root).train()
    binaural_run(tmp_path / 'cut', root, stop_at=5).train()
    assert final_state(tmp_path / 'cut')[1]['iter'] == 4
    binaural_run(tmp_path / 'cut', root, resume=True).train()
    straight = final_state(tmp_path / 'straight')[0]
    assert_equal(straight, final_state(tmp_path / 'cut')[0])
