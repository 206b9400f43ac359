# Copyright (c) mmmultissl contributors. All rights reserved.
"""Any folder of stereo files: what is taken, what is named, what is equal."""
import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralFolder, audio_io
from mmmultissl.datasets.binaural.convert.anchors import (clip_starts,
                                                          drawn_split)
from mmmultissl.datasets.binaural.convert.checks import (side_to_mid_db,
                                                         to_int16)
from mmmultissl.datasets.binaural.convert.media import frames_at, read_sound
from mmmultissl.datasets.binaural.convert.unusable import UnusableFile
from tests.test_datasets.media_files import (killed_at, load_tool, noise, tree,
                                             write_video)

soundfile = pytest.importorskip('soundfile')
RATE = 16000
DATA = Path(__file__).parents[2] / 'data'
main = load_tool('stereo_folder')


def skipped(out):
    with open(out / 'skipped.csv', newline='') as file:
        return {
            Path(row['file'].split(': ')[0]).name: row['reason']
            for row in csv.DictReader(file)
        }


def write_sounds(folder):
    folder.mkdir()
    for number in range(4):
        soundfile.write(folder / f'{number}.wav',
                        noise(5, RATE, seed=number), RATE)
    return folder


def test_sixteen_bits_come_out_bit_for_bit(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    stored = (noise(5, RATE) * 2**15).astype(np.int16)
    stored[7] = 2**15 - 1, -2**15
    soundfile.write(folder / 'a.flac', stored, RATE)
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    np.testing.assert_array_equal(result.audio('a'), stored)
    np.testing.assert_array_equal(result.columns['start'], [0, 32000])
    assert result.columns['headings'] == [(0., ), (0., )]
    assert not result.panorama and result.sample_rate == RATE


def test_what_is_wrong_is_named_and_the_rest_is_taken(tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    good = noise(5, RATE)

    def write(name, samples, **kwargs):
        soundfile.write(folder / name, samples, RATE, **kwargs)

    write('good.wav', good)
    write('mono.wav', good[:, :1])
    write('dual.wav', good[:, :1].repeat(2, 1))
    # A codec makes equal channels differ a little: 50 dB below.
    nearly = good[:, :1] + good * np.float32(10**-2.5)
    write('nearly.wav', nearly)
    write('quad.wav', noise(5, RATE, 4))
    write('silent.wav', np.zeros_like(good))
    write('left.wav', good * np.float32([1, 0]))
    broken = good.copy()
    broken[100] = np.nan
    write('nan.wav', broken, subtype='FLOAT')
    write('short.wav', good[:RATE])
    write('clipped.wav', (20 * good).clip(-1, 1))
    write('loud.wav', 20 * good, subtype='FLOAT')
    spike = good.copy()
    spike[100, 0] = 1e6
    write('spike.wav', spike, subtype='FLOAT')
    write('turned.wav', good[:, :1] * np.float32([1, -1]))
    soundfile.write(folder / 'clipped48.wav',
                    (20 * noise(5, 48000)).clip(-1, 1), 48000)
    half = np.concatenate([good, np.zeros_like(good)])
    write('half.wav', half)
    whole = (folder / 'good.wav').read_bytes()
    (folder / 'cut.wav').write_bytes(whole[:len(whole) // 2])
    write('good.flac', good)
    flac = (folder / 'good.flac').read_bytes()
    (folder / 'good.flac').unlink()
    (folder / 'cut.flac').write_bytes(flac[:len(flac) // 2])
    (folder / 'text.wav').write_text('no sound')
    (folder / 'empty.wav').write_bytes(b'')
    write('nothing.wav', good[:0])
    (folder / 'notes.txt').write_text('not looked at')

    out = tmp_path / 'out'
    assert main([str(folder), str(out)]) == 0
    reasons = skipped(out)
    assert {name: reason.split(' (')[0]
            for name, reason in reasons.items()} == {
                'mono.wav': 'one channel',
                'dual.wav': 'two equal channels',
                'nearly.wav': 'two equal channels',
                'quad.wav': 'more than two channels',
                'silent.wav': 'silent',
                'left.wav': 'one of the two channels is silent',
                'nan.wav': 'NaN or infinite samples',
                'short.wav': 'shorter than a clip',
                'clipped.wav': 'kept, but clipped: more than 1 in 1,000 '
                'samples at full scale',
                'loud.wav': 'kept, but made quieter: above full scale',
                'spike.wav': 'so far above full scale that an ear is silent',
                'turned.wav': 'two equal channels of opposite sign',
                'clipped48.wav': 'kept, but clipped: more than 1 in 1,000 '
                'samples at full scale',
                'half.wav': 'silent clips',
                'cut.wav': 'truncated',
                'cut.flac': 'cannot be decoded',
                'text.wav': 'cannot be decoded',
                'empty.wav': 'cannot be decoded',
                'nothing.wav': 'no sound',
            }
    assert reasons['nan.wav'].endswith('(2 of 160000)')
    assert reasons['short.wav'].endswith('(1.0 s)')
    result = BinauralFolder(out)
    assert result.recordings == ('clipped', 'clipped48', 'good', 'half',
                                 'loud')
    # 5 s of sound, then 5 of silence: the clip from 4 to 6 s is the last.
    half_rows = result.columns['recording'] == 'half'
    np.testing.assert_array_equal(result.columns['start'][half_rows],
                                  [0, 32000, 64000])
    # Made quieter as a whole: ears keep their ratio.
    loud, like = result.audio('loud'), 20 * good
    assert np.abs(loud.astype(int)).max() == 2**15 - 1
    np.testing.assert_allclose(loud / 2**15, like * (
        (1 - 2**-15) / np.abs(like).max()), atol=0.51 / 2**15)
    printed = capsys.readouterr().out
    assert '5 recordings, 11 clips' in printed
    # Clips are counted, not files.
    assert 'skipped 2: silent clips' in printed
    assert 'skipped 2: two equal channels' in printed
    assert 'skipped 3: cannot be decoded' in printed
    assert 'noted 2: kept, but clipped' in printed


def test_another_rate_is_resampled_and_said_once(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(audio_io, 'print_log',
                        lambda text, **kwargs: said.append(text))
    folder = tmp_path / 'in'
    folder.mkdir()
    time = np.arange(3 * 44100) / 44100
    tone = np.stack([
        0.5 * np.sin(2 * np.pi * 440 * time),
        0.25 * np.sin(2 * np.pi * 440 * (time - 5e-4))
    ], 1)
    for name in 'ab':
        soundfile.write(folder / f'{name}.wav', tone, 44100)
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    assert said == ['Files at 44100 Hz are resampled to 16000 Hz.']
    result = BinauralFolder(tmp_path / 'out').audio('a') / 2**15
    assert len(result) == 48000
    time = np.arange(48000) / RATE
    middle = slice(100, -100)  # the filter sees zeros beyond the ends
    for ear, (gain, delay) in enumerate([(0.5, 0), (0.25, 5e-4)]):
        wanted = gain * np.sin(2 * np.pi * 440 * (time - delay))
        np.testing.assert_allclose(
            result[middle, ear], wanted[middle], atol=2e-3 * gain)


def test_frames_are_those_of_the_clips_centres(tmp_path):
    pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    # Frame n is shown from n / 10 s and has the value 20 + 2 n.
    frames = [np.full((32, 48), 20 + 2 * n) for n in range(100)]
    sound = noise(8.05, RATE)
    write_video(folder / 'v.mkv', sound, RATE, frames, sound_from=0.5)
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    np.testing.assert_array_equal(
        result.audio('v'), np.rint(sound * 2**15).astype(np.int16))
    assert list(result.columns['start']) == [0, 32000, 64000, 96000]
    for start, path in zip(result.columns['start'], result.columns['frame']):
        picture = cv2.imread(str(result.path(path)))
        assert picture.shape == (32, 48, 3)
        # The sound began half a second after the pictures.
        number = round((start / RATE + 1 + 0.5) * 10)
        # Video levels 16 to 235 become 0 to 255.
        value = (20 + 2 * number - 16) * 255 / 219
        assert abs(picture.mean() - value) < 1.5, start


def test_sound_that_outlasts_the_pictures_loses_those_clips(tmp_path):
    pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    frames = [np.full((32, 48), 100)] * 31  # 3.1 s
    write_video(folder / 'v.mkv', noise(8, RATE), RATE, frames)
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    # Centres at 1, 3, 5 and 7 s.
    assert list(result.columns['start']) == [0, 32000]
    with open(tmp_path / 'out' / 'skipped.csv') as file:
        assert ('v.mkv: 2 of 4 clips,no readable frame at the centre of the '
                'clip') in file.read()


def test_videos_without_sound_and_damaged_ones_are_named(tmp_path):
    pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    frames = [
        np.random.RandomState(n).randint(0, 255, (32, 48)) for n in range(60)
    ]
    write_video(folder / 'good.mkv', noise(6, RATE), RATE, frames)
    write_video(folder / 'mute.mkv', None, RATE, frames)
    write_video(folder / 'good.mp4', noise(6, RATE), RATE, frames,
                audio_codec='aac', video_codec='mpeg4')
    write_video(folder / 'mono.mp4', noise(6, RATE, 1), RATE, frames,
                audio_codec='aac', video_codec='mpeg4')
    # With the index at its beginning a cut file still opens.
    write_video(folder / 'fast.mp4', noise(6, RATE), RATE, frames,
                audio_codec='aac', video_codec='mpeg4', movflags='faststart')
    for name in ('good.mkv', 'good.mp4', 'fast.mp4'):
        whole = (folder / name).read_bytes()
        (folder / f'cut_{name}').write_bytes(whole[:len(whole) // 2])
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    reasons = skipped(tmp_path / 'out')
    assert reasons.pop('cut_good.mkv').startswith('truncated (')
    assert reasons.pop('cut_fast.mp4').startswith('cannot be decoded (')
    assert reasons.pop('cut_good.mp4').startswith('cannot be decoded (')
    assert reasons == {'mute.mkv': 'no sound', 'mono.mp4': 'one channel'}
    assert BinauralFolder(tmp_path / 'out').recordings == ('fast', 'good_mkv',
                                                           'good_mp4')


def test_videos_need_pyav(tmp_path, monkeypatch, capsys):
    (tmp_path / 'v.mp4').write_bytes(b'')
    monkeypatch.setitem(sys.modules, 'av', None)
    assert main([str(tmp_path), str(tmp_path / 'out')]) == 1
    assert capsys.readouterr().err.endswith(
        'install it with: pip install av\n')


@pytest.mark.parametrize('turned', [0, 90, 180, -90])
def test_turned_videos_are_turned_upright(tmp_path, turned):
    pytest.importorskip('av')
    frame = np.full((32, 48), 16)
    frame[:16, :24] = 235  # white at the upper left
    path = tmp_path / 'v.mp4'
    write_video(path, None, RATE, [frame] * 5, turned=turned,
                video_codec='mpeg4')
    (number, picture), = frames_at(path, [0.2], 240)
    wanted = np.rot90((frame > 100) * 255, turned // 90)
    assert picture.shape[:2] == wanted.shape and number == 0
    assert np.abs(picture.mean(2) - wanted).mean() < 10


def test_times_without_a_picture_are_left_out(tmp_path):
    pytest.importorskip('av')
    path = tmp_path / 'v.mkv'
    write_video(path, None, RATE, [np.full((32, 48), n) for n in range(20)])
    times = [-0.1, 0., 0.05, 0.1, 1.95, 1.999, 2.0, 5.]
    assert [i for i, _ in frames_at(path, times, 240)] == [1, 2, 3, 4, 5]


def test_large_pictures_are_reduced_in_proportion(tmp_path):
    pytest.importorskip('av')
    path = tmp_path / 'v.mkv'
    write_video(path, None, RATE, [np.full((100, 178), 50)] * 3)
    (_, picture), = frames_at(path, [0.1], 40)
    assert picture.shape == (40, 71, 3)


def test_a_hole_in_the_sound_is_no_silent_shift(tmp_path):
    av = pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    write_video(folder / 'whole.mkv', noise(6, RATE), RATE,
                [np.full((32, 48), 50)] * 60)
    with av.open(str(folder / 'whole.mkv')) as source, av.open(
            str(folder / 'hole.mkv'), 'w') as target:
        stream = source.streams.audio[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.pts is not None and not 2 < packet.pts * float(
                    packet.time_base) < 3:
                packet.stream = copy
                target.mux(packet)
    with pytest.raises(UnusableFile, match='holes .5.0 s of sound in 6.0 s'):
        read_sound(folder / 'hole.mkv')
    assert len(read_sound(folder / 'whole.mkv').samples) == 6 * RATE


def test_killed_and_repeated_gives_the_same(tmp_path, capsys):
    folder = write_sounds(tmp_path / 'in')
    soundfile.write(folder / 'mono.wav', noise(5, RATE, 1), RATE)
    arguments = [str(folder), str(tmp_path / 'killed')]
    killed_at(3, main, arguments)
    assert not (tmp_path / 'killed' / 'index.csv').exists()
    assert main(arguments) == 0
    assert '2 of 5 recordings are finished already' in capsys.readouterr().out
    assert main([str(folder), str(tmp_path / 'straight')]) == 0
    assert tree(tmp_path / 'killed') == tree(tmp_path / 'straight')
    # Once more, with nothing left to do but what was skipped.
    assert main(arguments) == 0
    assert tree(tmp_path / 'killed') == tree(tmp_path / 'straight')


def test_other_settings_do_not_continue_a_folder(tmp_path, capsys):
    folder = write_sounds(tmp_path / 'in')
    assert main([str(folder), str(tmp_path / 'out')]) == 0
    assert main([str(folder), str(tmp_path / 'out'), '--hop-seconds',
                 '1']) == 1
    assert 'was begun with hop_seconds=2.0' in capsys.readouterr().err


@pytest.mark.parametrize('first, then', [
    ([], ['--source-pattern', '^(.)']),
    (['--source-pattern', '^(.)'], []),
    (['--source-pattern', '^(.)'], ['--source-pattern', '^(.*)$']),
    ([], ['--split-folders']),
    (['--class-folders'], []),
])
def test_another_grouping_does_not_continue_a_folder(tmp_path, capsys, first,
                                                     then):
    write_sounds(tmp_path / 'in')
    for split in ('train', 'val'):
        # A class in a split, so that all settings fit.
        (tmp_path / 'in' / split / 'dog').mkdir(parents=True)
    for number, split in enumerate(('train', 'train', 'train', 'val')):
        (tmp_path / f'in/{number}.wav').rename(
            tmp_path / f'in/{split}/dog/{number}.wav')
    arguments = [str(tmp_path / 'in'), str(tmp_path / 'out')]
    assert main([*arguments, *first]) == 0
    assert main([*arguments, *first]) == 0
    capsys.readouterr()
    before = tree(tmp_path / 'out')
    assert main([*arguments, *then]) == 1
    error = capsys.readouterr().err
    assert 'was begun with' in error and error.count('\n') == 1
    assert tree(tmp_path / 'out') == before


def test_two_files_of_one_name_are_both_named(tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a.wav', 'a.flac', 'a_wav.wav'):
        soundfile.write(folder / name, noise(3, RATE), RATE)
    for _ in range(2):
        assert main([str(folder), str(tmp_path / 'out')]) == 1
        error = capsys.readouterr().err
        assert 'a.wav and ' in error and "a_wav.wav would both be the " \
            "recording 'a_wav'; rename one" in error


def test_sound_that_was_deleted_is_made_again(tmp_path):
    arguments = [str(write_sounds(tmp_path / 'in')), str(tmp_path / 'out')]
    assert main(arguments) == 0
    before = tree(tmp_path / 'out')
    (tmp_path / 'out/audio/2.npy').unlink()
    assert main(arguments) == 0
    assert tree(tmp_path / 'out') == before


def test_what_moves_can_be_the_foreground(tmp_path):
    pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    frames = []
    for n in range(100):
        frame = np.full((60, 120), 80)
        # Elsewhere in each clip.
        frame[20:40, n:n + 12] = 200
        frames.append(frame)
    write_video(folder / 'v.mkv', noise(10, RATE), RATE, frames)
    write_video(folder / 'short.mkv', noise(4, RATE), RATE, frames[:40])
    write_video(folder / 'empty.mkv', noise(10, RATE), RATE,
                frames[:20] + [np.full((60, 120), 80)] * 80)
    assert main([str(folder), str(tmp_path / 'out'), '--foreground',
                 'difference']) == 0
    result = BinauralFolder(tmp_path / 'out')
    paths = dict(zip(result.columns['recording'],
                     result.columns['foreground']))
    assert paths['short'] == ''
    assert skipped(tmp_path / 'out')['short.mkv'] == (
        'too few frames for a background (2)')
    rows = result.columns['recording'] == 'empty'
    listed = np.array(result.columns['foreground'])[rows] != ''
    assert listed.tolist() == [True, False, False, False, False]
    assert len(list(tmp_path.glob('out/foreground/empty/*'))) == 1
    assert 'empty.mkv: 4 of 5 foreground masks,nothing in the foreground' in (
        tmp_path / 'out/skipped.csv').read_text()
    mask = cv2.imread(str(result.path(paths['v'])), 0) > 0  # at 9 s
    wanted = np.zeros((60, 120), bool)
    wanted[20:40, 90:102] = True
    assert np.logical_xor(mask, wanted).sum() <= 2 * (20 + 12) + 4


def test_sources_stay_in_one_split(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    for song in range(12):
        for part in range(2):
            soundfile.write(folder / f'song{song}_part{part}.wav',
                            noise(2, RATE, seed=song), RATE)
    assert main([str(folder), str(tmp_path / 'out'), '--source-pattern',
                 '(song[0-9]+)_', '--shares', '0.5', '0.25', '0.25']) == 0
    result = BinauralFolder(tmp_path / 'out')  # which checks it, too
    split_of = dict(zip(result.columns['source_recording'],
                        result.columns['split']))
    assert set(split_of) == {f'song{song}' for song in range(12)}
    assert split_of == {
        source: drawn_split(source, (0.5, 0.25, 0.25)) for source in split_of
    }
    assert len(set(split_of.values())) == 3


def test_folders_can_be_splits_and_classes(tmp_path, capsys):
    folder = tmp_path / 'in'
    for split, kind in (('train', 'dog'), ('val', 'dog'),
                        ('test', 'sea gull')):
        (folder / split / kind).mkdir(parents=True)
        soundfile.write(folder / split / kind / f'{split}.wav',
                        noise(2, RATE), RATE)
    arguments = [str(folder), str(tmp_path / 'out'), '--split-folders',
                 '--class-folders']
    assert main(arguments) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.classes == ('dog', 'sea_gull')
    assert list(result.columns['split']) == ['test', 'train', 'val']
    assert result.columns['class'] == [('sea_gull', ), ('dog', ), ('dog', )]
    assert result.recordings[0] == 'test/sea gull/test'
    assert main([*arguments[:2], '--source-pattern', '(x)', *arguments[2:]
                 ]) == 1
    assert "finds no group in 'test/sea gull/test'" in capsys.readouterr().err
    for pattern, sentence in (('(', 'is no regular expression'),
                              ('(q)?', 'finds no group')):
        assert main([*arguments, '--source-pattern', pattern]) == 1
        error = capsys.readouterr().err
        assert sentence in error and error.count('\n') == 1
    # The folder of a split is no class.
    soundfile.write(folder / 'train/b.wav', noise(2, RATE), RATE)
    assert main([arguments[0], str(tmp_path / 'other'), *arguments[2:]]) == 1
    assert 'train/b.wav lies in no folder that would be its class' in (
        capsys.readouterr().err)
    (folder / 'train/b.wav').unlink()
    soundfile.write(folder / 'a.wav', noise(2, RATE), RATE)
    assert main(arguments[:3]) == 1
    assert 'a.wav lies in none of the folders' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, sentence', [
    ((), 'holds no video and no audio file'),
    (('--hop-seconds', '0'), '--hop-seconds is 0.0'),
    (('--hop-seconds', 'inf'), '--hop-seconds is inf'),
    (('--clip-seconds', 'inf'), '--clip-seconds is inf'),
    (('--shares', 'nan', '0', '1'), '--shares are nan 0.0 1.0'),
    (('--shares', '1', '1', '0'), '--shares are 1.0 1.0 0.0'),
])
def test_mistakes_end_in_one_sentence(tmp_path, capsys, arguments, sentence):
    assert main([str(tmp_path), str(tmp_path / 'out'), *arguments]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count('\n') == 1


def test_nothing_usable_is_an_error(tmp_path, capsys):
    soundfile.write(tmp_path / 'mono.wav', noise(3, RATE, 1), RATE)
    assert main([str(tmp_path), str(tmp_path / 'out')]) == 1
    assert 'got no recording' in capsys.readouterr().err


def test_levels_in_closed_form():
    left = np.random.RandomState(0).randn(1000).astype(np.float32)
    both = np.stack([left, left], 1)
    assert side_to_mid_db(both) == -np.inf
    assert side_to_mid_db(both * [1, 0]) == pytest.approx(0, abs=1e-6)
    assert side_to_mid_db(both * [1, -1]) == np.inf
    # (1 - g) / (1 + g) of the sum is the difference.
    assert side_to_mid_db(both * [1, 0.98]) == pytest.approx(
        20 * np.log10(0.02 / 1.98), abs=1e-3)
    whole, factor = to_int16(np.float32([[-1, 1 - 2**-15]]))
    assert factor == 1 and whole.tolist() == [[-2**15, 2**15 - 1]]


def test_clips_lie_inside():
    assert clip_starts(32000, 16000, 2, 2) == [0]
    assert clip_starts(31999, 16000, 2, 2) == []
    assert clip_starts(80000, 16000, 2, 1) == [0, 16000, 32000, 48000]
    # 0.1 s of 44,100 samples a second are no multiple of 1/3.
    assert clip_starts(20000, 44100, 0.1, 0.1 / 3)[:4] == [0, 1470, 2940, 4410]


def test_splits_are_drawn_by_name_in_the_asked_shares():
    draws = [drawn_split(f'r{i}', (0.7, 0.1, 0.2)) for i in range(5000)]
    shares = [draws.count(name) / 5000 for name in ('train', 'val', 'test')]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.02)
    assert {drawn_split(f'r{i}', (0., 1., 0.)) for i in range(50)} == {'val'}


@pytest.mark.skipif(not (DATA / 'av-clips').is_dir(),
                    reason='needs the clips of data/av-clips')
def test_real_clips_agree_with_their_manifest(tmp_path):
    pytest.importorskip('av')
    assert main([str(DATA / 'av-clips'), str(tmp_path / 'out')]) == 0
    result = BinauralFolder(tmp_path / 'out')
    manifest = json.loads((DATA / 'av-clips/manifest.json').read_text())
    stereo = {clip['file'].rsplit('.', 1)[0]: clip for clip in manifest
              if clip['true_stereo']}
    assert set(result.recordings) == set(stereo)
    reasons = skipped(tmp_path / 'out')
    for clip in manifest:
        reason = reasons.get(Path(clip['file']).name, '')
        if clip['channels'] == 1:
            assert reason == 'one channel'
        elif not clip['true_stereo']:
            assert f'at {clip["side_to_mid_db"]:.1f} dB' in reason
    for name, clip in stereo.items():
        seconds = len(result.audio(name)) / result.sample_rate
        assert seconds == pytest.approx(clip['audio_seconds'], abs=0.05)
        rows = result.columns['recording'] == name
        assert rows.sum() == int(min(seconds, clip['frames'] / (
            10 if 'fairplay' in name else 25)) // 2)
