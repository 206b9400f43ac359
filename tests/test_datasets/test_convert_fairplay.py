# Copyright (c) mmmultissl contributors. All rights reserved.
"""FAIR-Play: both layouts, its splits, and the frame of each clip."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralFolder
from mmmultissl.datasets.binaural.convert.fairplay import read_splits
from tests.test_datasets.media_files import (killed_at, load_tool, noise, tree,
                                             write_video)

soundfile = pytest.importorskip('soundfile')
RATE = 16000
DATA = Path(__file__).parents[2] / 'data'
main = load_tool('fairplay')
NAMES = ('000001', '000002', '000003')


def write_frames(folder, pattern, count=100):
    folder.mkdir(parents=True)
    for n in range(count):
        cv2.imwrite(str(folder / pattern.format(n + 1)),
                    np.full((36, 64, 3), 20 + 2 * n, np.uint8))


def write_splits(folder, **names):
    h5py = pytest.importorskip('h5py')
    folder.mkdir(parents=True)
    for split, of_split in names.items():
        paths = [f'/private/binaural16k/{name}.wav' for name in of_split]
        with h5py.File(folder / f'{split}.h5', 'w') as file:
            file['audio'] = np.array(paths, 'S')


@pytest.fixture
def copy(tmp_path):
    """The data set's layout: clips with frames, as the loader names them,
    with a folder of another name, and with a video alone."""
    root = tmp_path / 'fairplay'
    (root / 'binaural_audios').mkdir(parents=True)
    for seed, name in enumerate(NAMES):
        soundfile.write(root / 'binaural_audios' / f'{name}.wav',
                        noise(10.005, RATE, seed=seed), RATE)
    write_frames(root / 'frames/000001.mp4', '{:06d}.png')
    write_frames(root / 'frames/000002', 'frame{:04d}.jpg', count=55)
    return root


def values(result, name):
    rows = result.columns['recording'] == name
    return [
        float(cv2.imread(str(result.path(frame))).mean())
        for frame in result.columns['frame'][rows]
    ]


def test_own_layout_with_its_splits(copy, tmp_path):
    splits = copy / 'splits' / 'split1'
    write_splits(splits, train=NAMES[:1], val=NAMES[1:2], test=NAMES[2:])
    out = tmp_path / 'out'
    assert main([str(copy), str(out), '--splits', str(splits)]) == 0
    result = BinauralFolder(out)
    assert result.recordings == NAMES
    assert result.info['splits'] == 'split1'
    assert not result.panorama
    rows = dict(zip(result.columns['recording'], result.columns['split']))
    assert rows == dict(zip(NAMES, ('train', 'val', 'test')))
    # At t seconds the authors' loader takes frame round((t + 0.05) * 10),
    # counted from 1: 11, 31, 51 …; their values here are 20 + 2 (n - 1).
    np.testing.assert_allclose(
        values(result, '000001'), [40, 80, 120, 160, 200], atol=1)
    # 55 frames end at 5.5 s.
    np.testing.assert_allclose(values(result, '000002'), [40, 80, 120],
                               atol=1)
    assert '2 of 5 clips,no readable frame at the centre of the clip' in (
        out / 'skipped.csv').read_text()
    # Without frames and video: sound alone.
    assert list(result.columns['frame'][result.columns['recording'] ==
                                        '000003']) == [''] * 5


def test_videos_stand_in_for_frames(copy, tmp_path):
    pytest.importorskip('av')
    (copy / 'videos').mkdir()
    # Made as mkv, whose codecs lose nothing; FFmpeg looks at the contents.
    write_video(copy / 'v.mkv', None, RATE,
                [np.full((36, 64), 20 + 2 * n) for n in range(100)])
    (copy / 'v.mkv').rename(copy / 'videos' / '000003.mp4')
    assert main([str(copy), str(tmp_path / 'out')]) == 0
    wanted = (np.array([40, 80, 120, 160, 200]) - 16) * 255 / 219
    np.testing.assert_allclose(
        values(BinauralFolder(tmp_path / 'out'), '000003'), wanted, atol=1.5)


def test_a_folder_per_clip(tmp_path):
    for name, rate in (('a', 10), ('b', 5)):
        folder = tmp_path / 'in' / name
        write_frames(folder / 'frames', 'frame{:04d}.jpg', count=10 * rate)
        soundfile.write(folder / 'audio.flac', noise(10, RATE), RATE)
        (folder / 'meta.json').write_text(
            json.dumps(dict(u_id=f'clip_{name}', frame_rate=rate)))
    assert main([str(tmp_path / 'in'), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.recordings == ('clip_a', 'clip_b')
    np.testing.assert_allclose(
        values(result, 'clip_a'), [40, 80, 120, 160, 200], atol=1)
    np.testing.assert_allclose(
        values(result, 'clip_b'), [30, 50, 70, 90, 110], atol=1)


def test_killed_and_repeated_gives_the_same(copy, tmp_path):
    killed_at(2, main, [str(copy), str(tmp_path / 'killed')])
    assert main([str(copy), str(tmp_path / 'killed')]) == 0
    assert main([str(copy), str(tmp_path / 'straight')]) == 0
    assert tree(tmp_path / 'killed') == tree(tmp_path / 'straight')


def test_frames_that_were_cut_off_are_left_out_and_counted(copy, tmp_path):
    # A grey half would be a picture like any other.
    draws = np.random.RandomState(0)
    for path in (copy / 'frames/000002').iterdir():
        cv2.imwrite(str(path), draws.randint(0, 255, (36, 64, 3), np.uint8))
        content = path.read_bytes()
        path.write_bytes(content[:len(content) // 3])
    assert main([str(copy), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.recordings == ('000001', '000003')
    reasons = (tmp_path / 'out/skipped.csv').read_text()
    assert '000002.wav,no usable clip (5 of 5 clips: no readable frame' in (
        reasons)
    assert '000003.wav: all frames,no frames and no video,000003' in reasons


@pytest.mark.parametrize('content, words', [
    ('[]', 'meta.json is not as FAIR-Play has it'),
    ('{', 'meta.json is not as FAIR-Play has it'),
    ('{"frame_rate": "fast"}', 'meta.json is not as FAIR-Play has it'),
    ('{"frame_rate": 0}', 'frame_rate is 0.0'),
])
def test_mistakes_in_a_clips_file(tmp_path, capsys, content, words):
    soundfile.write(tmp_path / 'audio.wav', noise(3, RATE), RATE)
    (tmp_path / 'meta.json').write_text(content)
    assert main([str(tmp_path), str(tmp_path / 'out')]) == 1
    error = capsys.readouterr().err
    assert words in error and error.count('\n') == 1


def test_a_number_names_a_clip_too_but_one_alone(tmp_path, capsys):
    for name in 'ab':
        (tmp_path / 'in' / name).mkdir(parents=True)
        soundfile.write(tmp_path / 'in' / name / 'audio.wav',
                        noise(3, RATE), RATE)
        (tmp_path / 'in' / name / 'meta.json').write_text('{"u_id": 7}')
    assert main([str(tmp_path / 'in'), str(tmp_path / 'out')]) == 1
    assert "would both be the recording '7'" in capsys.readouterr().err
    (tmp_path / 'in/b/meta.json').unlink()
    assert main([str(tmp_path / 'in'), str(tmp_path / 'out')]) == 0
    assert BinauralFolder(tmp_path / 'out').recordings == ('7', 'b')


def test_mistakes_in_splits(copy, tmp_path, capsys):
    splits = tmp_path / 'splits'
    write_splits(splits / 'a', train=NAMES[:2], val=NAMES[1:2], test=())
    with pytest.raises(ValueError, match='000002 stands in train.h5 and in'):
        read_splits(splits / 'a')
    write_splits(splits / 'b', train=NAMES[:1], val=NAMES[1:2], test=())
    out = str(tmp_path / 'out')
    assert main([str(copy), out, '--splits', str(splits / 'b')]) == 1
    assert '000003 stands in none of the splits' in capsys.readouterr().err
    assert main([str(copy), out, '--splits', str(splits)]) == 1
    assert 'train.h5 does not exist' in capsys.readouterr().err
    assert main([str(splits), out]) == 1
    assert 'give the folder of FAIR-Play' in capsys.readouterr().err
    (copy / 'splits/junk').mkdir(parents=True)
    (copy / 'splits/junk/train.h5').write_text('no splits')
    with pytest.raises(ValueError, match='train.h5 is no HDF5 file'):
        read_splits(copy / 'splits/junk')


@pytest.mark.skipif(
    not (DATA / 'binaural/recordings/fairplay_000001').is_dir(),
    reason='needs the clip of data/binaural/recordings')
def test_the_real_clip(tmp_path):
    source = DATA / 'binaural/recordings/fairplay_000001'
    assert main([str(source), str(tmp_path / 'out'), '--sample-rate',
                 '48000']) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.recordings == ('000001', ) and len(result) == 5
    stored, rate = soundfile.read(source / 'audio.flac', dtype='int16')
    assert rate == 48000
    np.testing.assert_array_equal(result.audio('000001'), stored)
    picture = cv2.imread(str(result.path(result.columns['frame'][2])))
    like = cv2.imread(str(source / 'frames/frame0051.jpg'))
    like = cv2.resize(like, picture.shape[1::-1],
                      interpolation=cv2.INTER_AREA)
    assert np.abs(picture.astype(float) - like).mean() < 2
