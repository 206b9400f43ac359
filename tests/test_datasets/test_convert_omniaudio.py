# Copyright (c) mmmultissl contributors. All rights reserved.
"""OmniAudio, on a made tree of its layout: tracks, clips, frames, masks."""
import csv

import cv2
import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralFolder
from mmmultissl.datasets.binaural.convert import omniaudio
from tests.test_datasets.media_files import (killed_at, load_tool, tree,
                                             write_video)

soundfile = pytest.importorskip('soundfile')
RATE = 48000
main = load_tool('omniaudio')
# As the authors' code has them, for integers of 24 bits divided by 2^15.
LEVELS = {1: 43.2666, 2: 44.5939, 3: 46.4066, 4: 54.6093, 5: 39.2109,
          6: 49.6621, 7: 53.7502, 8: 44.5070}
CAR, TRAIN, MOTORCYCLE, PERSON = 26, 31, 32, 24


def track(number, seconds=7., loud=(0, 1, 2)):
    """Integers of 24 bits; a track differs from the others, and is loud in
    some of the clips, at about half the level of the whole set."""
    draws = np.random.RandomState(number).uniform(
        -1, 1, round(seconds * RATE))
    clip = np.arange(len(draws)) // (2 * RATE)
    level = np.where(np.isin(clip, loud), 2**20, 2**14)
    return np.rint(level * draws).astype(np.int32)


def write_tracks(scene, numbers=range(1, 9), rate=RATE, name='ZOOM0001',
                 **kwargs):
    folder = scene / f'{name}.WAV'
    folder.mkdir(parents=True)
    for number in numbers:
        # libsndfile takes the upper 24 bits of 32.
        soundfile.write(folder / f'{name}_Tr{number}.WAV',
                        track(number, **kwargs) << 8, rate, subtype='PCM_24',
                        format='WAV')
    return scene


def write_frames(scene, seconds, size=(60, 120)):
    (scene / 'split_videoframes').mkdir(parents=True)
    for second in seconds:
        frame = np.full((*size, 3), 50, np.uint8)
        # Two columns in front, brighter with time.
        frame[:, size[1] // 2 - 1:size[1] // 2 + 1] = 100 + 20 * second
        cv2.imwrite(str(scene / 'split_videoframes' /
                        f'VIDEO_0266_cropped_{second:06d}.png'), frame)


def write_masks(scene, second, ids, changed):
    for folder, mask in (('segment_splitframes/pred', ids),
                         ('binary_semantic_change_masks', changed)):
        (scene / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(scene / folder / f'{second:06d}_mask.png'), mask)


def skipped(out):
    with open(out / 'skipped.csv', newline='') as file:
        return [(row['file'].rsplit('/', 1)[1], row['reason'])
                for row in csv.DictReader(file)]


@pytest.fixture(scope='module')
def tracks(tmp_path_factory):
    """One scene's recording: the writing is what takes time."""
    return write_tracks(tmp_path_factory.mktemp('tracks'))


@pytest.fixture
def scene(tmp_path, tracks):
    def link(name):
        folder = tmp_path / 'dataset_public' / name
        folder.mkdir(parents=True)
        (folder / 'ZOOM0001.WAV').symlink_to(tracks / 'ZOOM0001.WAV')
        return folder
    return link


def test_tracks_become_calibrated_pairs(tmp_path, scene):
    write_frames(scene('scene0028'), [0, 2, 4])
    out = tmp_path / 'out'
    assert main([str(tmp_path / 'dataset_public'), str(out)]) == 0
    result = BinauralFolder(out)
    assert result.recordings == ('scene0028', )
    assert (result.sample_rate, result.panorama) == (48000, True)
    assert result.classes == ('car', 'tram', 'motorcycle')
    # By the drawing of the rig, in degrees to the left: front, left, back,
    # right.
    assert result.columns['headings'] == [(0., 90., 180., -90.)] * 3
    sound = result.audio('scene0028')
    assert sound.shape == (7 * RATE, 8)
    for column, number in enumerate((2, 5, 8, 3, 6, 1, 4, 7)):
        authors = track(number) / 2**15 * 0.1 / LEVELS[number]
        np.testing.assert_allclose(
            sound[:, column] / 2**15, authors, atol=0.51 / 2**15)


def test_tracks_of_two_recordings_are_not_mixed(tmp_path, scene):
    folder = scene('scene0028')
    write_frames(folder, [0, 2, 4])
    for name, seed in (('AAAA', 20), ('ZZZZ', 30)):
        (folder / f'{name}.WAV').mkdir()
        for number in range(1, 5):
            soundfile.write(folder / f'{name}.WAV/{name}_Tr{number}.WAV',
                            track(seed + number) << 8, RATE,
                            subtype='PCM_24', format='WAV')
    assert main([str(tmp_path / 'dataset_public'), str(tmp_path / 'out')]) == 0
    sound = BinauralFolder(tmp_path / 'out').audio('scene0028')
    for column, number in enumerate((2, 5, 8, 3, 6, 1, 4, 7)):
        np.testing.assert_allclose(
            sound[:, column], track(number) * 0.1 / LEVELS[number], atol=0.51)
    assert [name for name, reason in skipped(tmp_path / 'out')
            if reason == 'another recording of the scene'
            ] == ['scene0028: AAAA.WAV', 'scene0028: ZZZZ.WAV']


def test_tracks_above_full_scale_keep_their_ratios(tmp_path):
    folder = tmp_path / 'in/scene0028/ZOOM0001.WAV'
    folder.mkdir(parents=True)
    write_frames(folder.parent, [0, 2, 4])
    for number in range(1, 9):
        samples = track(number) / 2**20 * (2.5 if number == 2 else 0.6)
        soundfile.write(folder / f'ZOOM0001_Tr{number}.WAV', samples, RATE,
                        subtype='FLOAT', format='WAV')
    assert main([str(tmp_path / 'in'), str(tmp_path / 'out')]) == 0
    sound = BinauralFolder(tmp_path / 'out').audio('scene0028')
    left, right = (np.sqrt(np.mean(sound[:, ear].astype(float)**2))
                   for ear in (0, 1))  # tracks 2 and 5
    expected = (2.5 * np.std(track(2)) / LEVELS[2]) / (
        0.6 * np.std(track(5)) / LEVELS[5])
    assert left / right == pytest.approx(expected, rel=1e-3)
    assert np.abs(sound).max() == 2**15 - 1
    noted = ('scene0028', 'kept, but made quieter: above full scale')
    assert noted in skipped(tmp_path / 'out')


@pytest.mark.parametrize('arguments, sentence', [
    (('--front', 'nan'), '--front is nan'),
    (('--front', '2'), '--front is 2.0'),
    (('--sample-rate', '0'), '--sample-rate is 0'),
    (('--frame-height', '-3'), '--frame-height is -3'),
])
def test_settings_that_make_no_sense(tmp_path, capsys, arguments, sentence):
    assert main([str(tmp_path), str(tmp_path / 'out'), *arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count('\n') == 1


def test_calibration_never_clips():
    for number in LEVELS:
        assert 0.4 < omniaudio.track_gain(number) < 1
    assert omniaudio.track_gain(1) == pytest.approx(25.6 / 43.2666)


def test_clips_are_loud_whole_and_at_even_seconds(tmp_path):
    scene = write_tracks(tmp_path / 'in/scene0116', loud=(0, 2, 3),
                         seconds=7.9)
    # 6 to 8 s is loud, but not whole; 2 to 4 s is quiet.
    write_frames(scene, [0, 2, 4, 6])
    assert main([str(tmp_path / 'in'), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    np.testing.assert_array_equal(result.columns['start'],
                                  [0, 4 * RATE])
    assert list(result.columns['frame']) == [
        'frames/scene0116/000000.jpg', 'frames/scene0116/000004.jpg'
    ]


def test_the_threshold_is_the_authors():
    clip = 2 * RATE
    draws = np.random.RandomState(0).randn(3 * clip)
    level = np.sqrt(2e-4) * np.repeat([0.999, 1.001, 1.], clip)
    blocks = draws.reshape(3, -1)
    blocks /= np.sqrt((blocks**2).mean(1, keepdims=True))
    signal = (blocks.ravel() * level)[:2 * clip]
    assert omniaudio._loud_enough(signal) == [clip]
    # What their code sums: squares of the spectrum divided by the length.
    energy = np.sum(np.abs(np.fft.fft(signal[:clip]) / clip)**2)
    assert energy == pytest.approx(2e-4 * 0.999**2)


def test_splits_by_scene():
    splits = [omniaudio.split_of(number) for number in range(1, 166)]
    assert splits == ['train'] * 114 + ['val'] * 25 + ['test'] * 26


def test_frames_of_the_video_are_at_the_centres(tmp_path, scene):
    pytest.importorskip('av')
    folder = scene('scene0140')
    frames = [np.full((32, 64), 20 + 2 * n) for n in range(70)]
    write_video(folder / 'VIDEO_0266_cropped.mkv', None, RATE, frames)
    (folder / 'VIDEO_0266_cropped.mkv').rename(
        folder / 'VIDEO_0266_cropped.mp4')
    assert main([str(folder.parent), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert set(result.columns['split']) == {'test'}
    for second, path in zip((1, 3, 5), result.columns['frame']):
        value = (20 + 20 * second - 16) * 255 / 219
        assert cv2.imread(str(result.path(path))).mean() == pytest.approx(
            value, abs=1.5)


def test_masks_become_foreground_and_labels(tmp_path, scene):
    folder = scene('scene0115')
    write_frames(folder, [0, 2])  # 4 has no frame
    ids = np.full((120, 240), 7, np.uint8)  # road
    ids[:20], ids[20:40], ids[40:60], ids[60:80] = (CAR, TRAIN, MOTORCYCLE,
                                                    PERSON)
    ids[100:] = 255
    changed = np.zeros((120, 240), np.uint8)
    changed[:, 120:] = 255
    changed[:, 180:] = 128
    changed[:, 210:] = 127
    write_masks(folder, 0, ids, changed)
    cv2.imwrite(str(folder / 'bg.png'), np.full((60, 120, 3), 30, np.uint8))
    out = tmp_path / 'out'
    assert main([str(folder.parent), str(out)]) == 0
    result = BinauralFolder(out)
    assert list(result.columns['start']) == [0, 2 * RATE]
    assert skipped(out) == [('scene0115: 1 of 3 clips',
                             'no readable frame at the centre of the clip')]
    assert list(result.columns['foreground']) == [
        'foreground/scene0115/000000.png', ''
    ]
    mask, labels = (cv2.imread(str(result.path(result.columns[name][0])),
                               cv2.IMREAD_UNCHANGED)
                    for name in ('foreground', 'labels'))
    # Of the frame's size, 60 x 120: half of the masks'.
    assert mask.shape == labels.shape == (60, 120)
    assert set(np.unique(mask)) == {0, 255}
    inside = np.arange(120)
    inside = (inside >= 60) & (inside < 105)
    np.testing.assert_array_equal(mask > 0, np.tile(inside, (60, 1)))
    assert not labels[:, ~inside].any()
    for row, value in ((5, 1), (15, 2), (25, 3), (35, 0), (45, 0), (55, 255)):
        assert (labels[row, inside] == value).all()
    assert (out / 'backgrounds/scene0115.jpg').is_file()


@pytest.mark.parametrize('speck', [False, True])
def test_masks_of_nothing_are_not_listed(tmp_path, scene, speck):
    folder = scene('scene0115')
    write_frames(folder, [0, 2, 4])
    ids = np.full((120, 240), CAR, np.uint8)
    nothing, something = np.zeros((2, 120, 240), np.uint8)
    something[:, 120:] = 255
    # A pixel that the frame's size does not have.
    nothing[0, 0] = 255 * speck
    for second, changed in ((0, nothing), (2, something), (4, nothing)):
        write_masks(folder, second, ids, changed)
    out = tmp_path / 'out'
    assert main([str(folder.parent), str(out)]) == 0
    assert list(BinauralFolder(out).columns['foreground']) == [
        '', 'foreground/scene0115/000002.png', ''
    ]
    assert [path.name for path in out.glob('foreground/*/*')
            ] == ['000002.png']
    assert skipped(out) == [('scene0115: 2 of 3 foreground masks',
                             'nothing in the foreground')]
    # All background is a label, too.
    assert all(BinauralFolder(out).columns['labels'])


def test_without_masks_what_moves_is_the_foreground(tmp_path):
    folder = write_tracks(tmp_path / 'in/scene0120', seconds=12.,
                          loud=range(6), numbers=range(1, 9))
    (folder / 'split_videoframes').mkdir()
    for second in range(0, 12, 2):
        frame = np.full((60, 120, 3), 80, np.uint8)
        frame[20:40, 10 * second:10 * second + 12] = 200
        cv2.imwrite(str(folder / 'split_videoframes' /
                        f'VIDEO_1_cropped_{second:06d}.png'), frame)
    # Nothing moves in the last one.
    cv2.imwrite(str(folder / 'split_videoframes/VIDEO_1_cropped_000010.png'),
                np.full((60, 120, 3), 80, np.uint8))
    for choice in ('difference', 'none'):
        out = tmp_path / choice
        assert main([str(folder.parent), str(out), '--foreground',
                     choice]) == 0
        result = BinauralFolder(out)
        paths = list(result.columns['foreground'])
        if choice == 'none':
            assert paths == [''] * 6
            continue
        assert paths.pop() == ''
        assert skipped(out) == [('scene0120: 1 of 6 foreground masks',
                                 'nothing in the foreground')]
        for second, path in zip(range(0, 10, 2), paths):
            mask = cv2.imread(str(result.path(path)), 0) > 0
            wanted = np.zeros((60, 120), bool)
            wanted[20:40, 10 * second:10 * second + 12] = True
            # To a pixel, for the slight blurring.
            assert np.logical_xor(mask, wanted).sum() <= 2 * (20 + 12) + 4


def test_train_ids_are_another_numbering(tmp_path, scene, capsys):
    folder = scene('scene0115')
    write_frames(folder, [0, 2, 4])
    ids = np.zeros((60, 120), np.uint8)
    ids[:20], ids[20:40], ids[40:] = 13, 16, 17
    everywhere = np.full((60, 120), 255, np.uint8)
    write_masks(folder, 0, ids, everywhere)
    arguments = [str(folder.parent), str(tmp_path / 'out'),
                 '--segmentation-ids', 'train']
    assert main(arguments) == 0
    result = BinauralFolder(tmp_path / 'out')
    labels = cv2.imread(str(result.path(result.columns['labels'][0])),
                        cv2.IMREAD_UNCHANGED)
    assert labels[:, 0].tolist() == [1] * 20 + [2] * 20 + [3] * 20
    ids[:] = CAR
    write_masks(folder, 0, ids, everywhere)
    assert main([arguments[0], str(tmp_path / 'again'), *arguments[2:]]) == 1
    assert 'choose --segmentation-ids label' in capsys.readouterr().err


def test_the_front_can_be_brought_to_the_centre(tmp_path, scene):
    folder = scene('scene0001')
    write_frames(folder, [0, 2, 4])
    changed = np.zeros((60, 120), np.uint8)
    changed[:, 59:61] = 255
    write_masks(folder, 0, changed, changed)
    assert main([str(folder.parent), str(tmp_path / 'out'), '--front',
                 '0.25']) == 0
    result = BinauralFolder(tmp_path / 'out')
    row = cv2.imread(str(result.path(result.columns['frame'][0])))[30, :, 0]
    # What was in the centre is 90 degrees to the right of it now.
    assert row.argmax() in (89, 90)
    mask = cv2.imread(str(result.path(result.columns['foreground'][0])), 0)
    assert np.flatnonzero(mask[30]).tolist() == [89, 90]


def test_incomplete_scenes_are_named(tmp_path, scene, tracks):
    root = tmp_path / 'dataset_public'
    write_frames(scene('scene5'), [0, 2, 4])
    for name, missing in (('scene0006', (3, 4)), ('scene0007', (1, ))):
        folder = root / name / 'ZOOM0001.WAV'
        folder.mkdir(parents=True)
        for number in set(range(1, 9)) - set(missing):
            stem = f'ZOOM0001_Tr{number}.WAV'
            (folder / stem).symlink_to(tracks / 'ZOOM0001.WAV' / stem)
        write_frames(root / name, [0, 2, 4])
    write_tracks(root / 'scene0008', loud=())
    write_tracks(root / 'scene0009', rate=44100)
    assert main([str(root), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.recordings == ('scene0005', )
    assert skipped(tmp_path / 'out') == [
        ('scene0006', 'tracks are missing: 3, 4'),
        ('scene0007', 'track 1 is missing'),
        ('scene0008', 'no clip is loud enough'),
        ('scene0009', 'not at 48000 Hz (track 1 at 44100 Hz)'),
        ('scene5: foreground', 'too few frames for a background (3)'),
    ]
    kept = tmp_path / 'kept'
    assert main([str(root), str(kept), '--incomplete', 'keep']) == 0
    result = BinauralFolder(kept)
    assert result.recordings == ('scene0005', 'scene0006')
    assert result.columns['headings'][-1] == (0., 180.)
    assert result.audio('scene0006').shape == (7 * RATE, 4)
    np.testing.assert_array_equal(
        result.audio('scene0006'),
        result.audio('scene0005')[:, [0, 1, 4, 5]])
    assert ('scene0006: headings 90, -90',
            'tracks are missing: 3, 4') in skipped(kept)


def test_what_is_damaged_is_named(tmp_path, scene, tracks):
    root = tmp_path / 'dataset_public'
    folder = scene('scene0001')
    write_frames(folder, [0, 2, 4])
    frame = folder / 'split_videoframes/VIDEO_0266_cropped_000002.png'
    frame.write_bytes(frame.read_bytes()[:100])
    mask = np.zeros((60, 120), np.uint8)
    write_masks(folder, 0, mask, mask)
    (folder / 'segment_splitframes/pred/000000_mask.png').write_bytes(b'no')
    write_masks(folder, 4, mask[:30], mask)
    # Copies of a scene with a track that is cut off, and a silent one.
    for name in ('scene0002', 'scene0003'):
        (root / name).mkdir()
        recording = root / name / 'ZOOM0001.WAV'
        recording.mkdir()
        for path in (tracks / 'ZOOM0001.WAV').iterdir():
            (recording / path.name).symlink_to(path)
    cut = root / 'scene0002/ZOOM0001.WAV/ZOOM0001_Tr5.WAV'
    half = cut.read_bytes()[:500000]
    cut.unlink()
    cut.write_bytes(half)
    dead = root / 'scene0003/ZOOM0001.WAV/ZOOM0001_Tr6.WAV'
    dead.unlink()
    soundfile.write(dead, np.zeros(7 * RATE), RATE, subtype='PCM_24')
    out = tmp_path / 'out'
    assert main([str(root), str(out)]) == 0
    result = BinauralFolder(out)
    assert list(result.columns['start']) == [0, 4 * RATE]
    assert list(result.columns['foreground']) == ['', '']
    assert skipped(out) == [
        ('scene0001: 1 of 3 clips',
         'no readable frame at the centre of the clip'),
        ('scene0001: masks of second 0',
         'a mask cannot be read (000000_mask.png)'),
        ('scene0001: masks of second 4',
         'masks of different sizes (000004_mask.png)'),
        ('scene0002', 'truncated (500000 of 1008044 bytes)'),
        ('scene0003', 'silent (track 6)'),
    ]


def test_another_rate_of_the_result(tmp_path, scene):
    write_frames(scene('scene0030'), [0, 2, 4])
    assert main([str(tmp_path / 'dataset_public'), str(tmp_path / 'out'),
                 '--sample-rate', '16000']) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert list(result.columns['start']) == [0, 32000, 64000]
    assert result.audio('scene0030').shape == (7 * 16000, 8)


def test_killed_and_repeated_gives_the_same(tmp_path, scene):
    for name in ('scene0001', 'scene0115', 'scene0165'):
        write_frames(scene(name), [0, 2, 4])
    root = str(tmp_path / 'dataset_public')
    killed_at(2, main, [root, str(tmp_path / 'killed')])
    assert main([root, str(tmp_path / 'killed')]) == 0
    assert main([root, str(tmp_path / 'straight')]) == 0
    assert tree(tmp_path / 'killed') == tree(tmp_path / 'straight')


def test_no_scene_and_one_twice(tmp_path, capsys):
    assert main([str(tmp_path / 'no'), str(tmp_path / 'out')]) == 1
    assert 'has no folder scene0001' in capsys.readouterr().err
    for name in ('scene1', 'scene0001'):
        (tmp_path / 'twice' / name).mkdir(parents=True)
    assert main([str(tmp_path / 'twice'), str(tmp_path / 'out')]) == 1
    assert 'are the same scene' in capsys.readouterr().err
