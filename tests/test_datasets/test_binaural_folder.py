# Copyright (c) mmmultissl contributors. All rights reserved.
"""The binaural folder: what is written comes back, killed or not."""
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from mmmultissl.datasets import (BinauralFolder, BinauralWriter,
                                 UnreadableSampleError)
from mmmultissl.datasets.binaural.audio_io import (Resampler, read_audio,
                                                   resample)
from mmmultissl.datasets.binaural.columns import fold

from .binaural_toy import HEADINGS, RATE, coded, write_folder


def contents(root):
    """Every file of a folder, by its path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*')) if path.is_file()
    }


def test_what_is_written_comes_back(tmp_path, capsys):
    write_folder(tmp_path)
    assert '3 recordings, 30 clips' in capsys.readouterr().out
    folder = BinauralFolder(tmp_path)
    assert len(folder) == 30
    assert (folder.sample_rate, folder.panorama) == (RATE, True)
    assert folder.field_of_view == 360
    assert folder.classes == ('dog', 'bell')
    assert folder.recordings == ('r0', 'r1', 'r2')
    assert folder.row(13) == {
        'recording': 'r1',
        'source_recording': 'r1',
        'start': 6000,
        'frame': 'frames/r1.png',
        'headings': HEADINGS,
        'split': 'train',
        'azimuth': (40., -60.),
        'class': ('bell', 'dog'),
        'foreground': 'foreground/r1.png',
        'labels': 'labels/r1.png'
    }
    assert folder.columns['start'].dtype == np.int64
    assert folder.rows('val').tolist() == list(range(20, 30))
    assert len(folder.rows('test')) == 0 and len(folder.rows('')) == 30
    sound = folder.audio('r2')
    assert np.array_equal(sound, coded(2, 20 * RATE))
    assert isinstance(sound, np.memmap) and not sound.flags.writeable
    assert folder.audio('r2') is sound
    assert folder.lengths().tolist() == 3 * [20 * RATE]


def test_a_pickled_folder_has_no_sound_in_it(tmp_path):
    folder = BinauralFolder(write_folder(tmp_path))
    before = folder.audio('r0')[:100].copy()
    content = pickle.dumps(folder)
    assert len(content) < 20000 < before.nbytes * 200
    assert np.array_equal(pickle.loads(content).audio('r0')[:100], before)


def test_angles_are_folded_and_numbers_come_back_exactly(tmp_path):
    azimuth = (12.345678901234567, np.float64(270), np.float32(-180),
               0.1 + 0.2)
    with BinauralWriter(tmp_path, RATE) as writer:
        writer.add_recording(
            'a/b', coded(0, 10, 2),
            [dict(start=0, split='test', azimuth=azimuth, headings=(-180, ))])
    row = BinauralFolder(tmp_path).row(0)
    assert row['azimuth'] == (azimuth[0], -90., 180., azimuth[3])
    assert row['headings'] == (180., )
    assert row['recording'] == 'a/b'
    assert [fold(a) for a in (-180., 180., 181., 540.)] == [
        180., 180., -179., 180.
    ]


def convert(root, kill_at):
    """Write six recordings, unless killed in the middle of one."""
    with BinauralWriter(root, RATE, seed=3) as writer:
        writer.skip('mono.wav', 'one channel')
        for number in range(6):
            if f'r{number}' in writer:
                continue
            if number == kill_at:
                # Its frame is there, and half a line of the journal.
                (root / 'frames').mkdir(exist_ok=True)
                (root / 'frames' / f'{number}.jpg').write_bytes(b'half')
                os.write(writer._journal.fileno(), b'{"name": "r')
                os.kill(os.getpid(), signal.SIGKILL)
            writer.add_recording(
                f'r{number}', coded(number, 50, 2),
                [dict(start=20, split='train'),
                 dict(start=0, split='train')],
                {f'frames/{number}.jpg': b'picture %d' % number},
                [(f'{number}.mp4 at 3 s', f'no frame ({number})')])


def run_convert(root, kill_at=None):
    """Run it in a process of its own, and return how that ended."""
    process = multiprocessing.get_context('fork').Process(
        target=convert, args=(root, kill_at))
    process.start()
    process.join()
    return process.exitcode


def test_a_killed_writer_goes_on_to_the_same_folder(tmp_path, capfd):
    straight, cut = tmp_path / 'straight', tmp_path / 'cut'
    assert run_convert(straight) == 0
    assert run_convert(cut, kill_at=2) == -signal.SIGKILL
    with pytest.raises(FileNotFoundError, match='interrupted; run it again'):
        BinauralFolder(cut)
    assert run_convert(cut, kill_at=4) == -signal.SIGKILL
    assert run_convert(cut) == 0
    assert contents(cut) == contents(straight)
    assert BinauralFolder(cut).columns['start'].tolist() == 6 * [0, 20]
    # A finished folder stays as it is when the command is repeated.
    before = contents(cut)
    capfd.readouterr()
    assert run_convert(cut) == 0
    assert contents(cut) == before
    assert capfd.readouterr().out.splitlines() == [
        f'{cut}: 6 recordings, 12 clips', '  skipped 6: no frame',
        '  skipped 1: one channel',
        f'  all of them are named in {cut / "skipped.csv"}'
    ]
    assert (cut / 'skipped.csv').read_text().splitlines()[:2] == [
        'file,reason,recording', '0.mp4 at 3 s,no frame (0),r0'
    ]


def test_a_finished_folder_can_grow(tmp_path):
    write_folder(tmp_path, recordings=2)
    settings = dict(panorama=True, classes=('dog', 'bell'))
    with BinauralWriter(tmp_path, RATE, HEADINGS, **settings) as writer:
        assert 'r1' in writer and 'r2' not in writer and len(writer) == 2
        writer.add_recording('r2', coded(2, 3000),
                             [dict(start=0, split='test')])
    folder = BinauralFolder(tmp_path)
    assert folder.recordings == ('r0', 'r1', 'r2') and len(folder) == 21


def test_an_exception_keeps_what_is_finished(tmp_path):
    with pytest.raises(KeyError), BinauralWriter(tmp_path, RATE) as writer:
        writer.add_recording('a', coded(0, 10, 2),
                             [dict(start=0, split='train')])
        raise KeyError
    assert not (tmp_path / 'index.csv').exists()
    with BinauralWriter(tmp_path, RATE) as writer:
        assert 'a' in writer
    assert BinauralFolder(tmp_path).recordings == ('a', )


def test_two_writers_or_other_settings_are_refused(tmp_path):
    with BinauralWriter(tmp_path, RATE, seed=1) as writer:
        with pytest.raises(BlockingIOError, match='Another process writes'):
            BinauralWriter(tmp_path, RATE, seed=1)
        writer.add_recording('a', coded(0, 10, 2),
                             [dict(start=0, split='train')])
    with pytest.raises(ValueError, match='begun with seed=1, but now it is 2'):
        BinauralWriter(tmp_path, RATE, seed=2)
    with pytest.raises(ValueError, match='sample_rate=1000, but .* 16000'):
        BinauralWriter(tmp_path, 16000, seed=1)
    # The one among many that differs.
    with BinauralWriter(tmp_path / 'b', RATE, of=dict(a=1, b=2)) as writer:
        writer.add_recording('a', coded(0, 10, 2),
                             [dict(start=0, split='train')])
    with pytest.raises(ValueError, match='begun with of.b=2, but now it is 3'):
        BinauralWriter(tmp_path / 'b', RATE, of=dict(a=1, b=3))
    BinauralWriter(tmp_path / 'b', RATE, of=dict(a=1, b=2, c=None)).close()


@pytest.mark.parametrize('audio, row, words', [
    (coded(0, 10, 2).astype(float), {}, 'float64 of shape'),
    (coded(0, 10, 1), {}, '1 channels; binaural sound has two'),
    (coded(0, 10, 4), {}, '4 channels, but 1 headings'),
    (coded(0, 0, 2), {}, 'is empty'),
    (coded(0, 10, 2), dict(start=10), 'starts at sample 10, but 10 samples'),
    (coded(0, 10, 2), dict(start=-1), 'start is .-1.: it is negative'),
    (coded(0, 10, 2), dict(split='dev'), 'none of train, val, test'),
    (coded(0, 10, 2), dict(azimuth=('left', )), "azimuth is 'left'"),
    (coded(0, 10, 2), dict(azimuth=(float('nan'), )), 'azimuth is .nan'),
    (coded(0, 10, 2), {'class': ('cat', )}, "class 'cat', which is not"),
    (coded(0, 10, 2), dict(angle=3), "a row with 'angle'; the columns are"),
])
def test_what_does_not_fit_is_refused_when_written(tmp_path, audio, row,
                                                   words):
    writer = BinauralWriter(tmp_path, RATE)
    with pytest.raises(ValueError, match=words):
        writer.add_recording('a', audio, [dict(dict(start=0, split='train'),
                                               **row)])
    assert 'a' not in writer
    assert not (tmp_path / 'audio').exists()


def test_more_that_the_writer_refuses(tmp_path):
    with pytest.raises(ValueError, match='separates classes by blanks'):
        BinauralWriter(tmp_path, RATE, classes=['crying baby'])
    with pytest.raises(ValueError, match='whole samples per second'):
        BinauralWriter(tmp_path, 0)
    writer = BinauralWriter(tmp_path, RATE)
    row = dict(start=0, split='train')
    with pytest.raises(ValueError, match='leads out of the folder'):
        writer.add_recording('../a', coded(0, 10, 2), [row])
    with pytest.raises(ValueError, match='leads out of the folder'):
        writer.add_recording('a', coded(0, 10, 2), [row], {'/f.jpg': b''})
    with pytest.raises(ValueError, match='no rows; skip'):
        writer.add_recording('a', coded(0, 10, 2), [])
    writer.add_recording('a', coded(0, 10, 2), [row])
    with pytest.raises(ValueError, match='is in .* already'):
        writer.add_recording('a', coded(0, 10, 2), [row])


def test_nothing_but_skipped_files_is_an_error(tmp_path, capsys):
    with pytest.raises(ValueError, match='all 2 sources were skipped'):
        with BinauralWriter(tmp_path, RATE) as writer:
            writer.skip('a.wav', 'one channel')
            writer.skip('b.wav', 'one channel (of 1)')
    assert 'skipped 2: one channel' in capsys.readouterr().out


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize('file, old, new, kind, words', [
    ('dataset.json', '"format": 1', '"format": 7', ValueError,
     'says format 7, but this version reads format 1'),
    ('dataset.json', '{', '', ValueError, 'is not JSON'),
    ('dataset.json', '1000', '0', ValueError, 'has sample_rate=0'),
    ('dataset.json', '1000', '1000.7', ValueError, 'has sample_rate=1000.7'),
    ('dataset.json', '1000', '"1000"', ValueError, "has sample_rate='1000'"),
    ('dataset.json', '1000', 'null', ValueError, 'has sample_rate=None'),
    ('index.csv', ',0 90 180 -90,', ',0 90 0 -90,', ValueError,
     'line 2: a heading is there twice'),
    ('index.csv', 'r0,r0,4000', 'r0,r0,2000', ValueError,
     'line 4: line 3 has that start of that recording too'),
    ('index.csv', 'r0,r0,4000', f'r0,r0,{2**63}', ValueError,
     'line 4: start is .*: no recording is that long'),
    ('index.csv', 'azimuth', 'angle', ValueError,
     "lacks the column 'azimuth'"),
    ('index.csv', 'r0,r0,4000', 'r0,r0,soon', ValueError,
     r"index.csv, line 4: start is 'soon'"),
    ('index.csv', ',40 -60,', ',400 -60,', ValueError,
     r"line 2: azimuth is '400 -60': angles are degrees"),
    ('index.csv', 'bell dog', 'bell cat', ValueError,
     "line 2: class 'cat' is not among the classes"),
    ('index.csv', ',0 90 180 -90,', ',,', ValueError, 'headings are empty'),
    ('index.csv', 'train', 'val', ValueError,
     "line 3: the source recording 'r0' is in train and in val"),
    ('index.csv', 'r0,r0,0,', 'r0,', ValueError, 'line 2: it has not as many'),
    ('index.csv', 'r0,r0,0,', 'lost,lost,0,', FileNotFoundError,
     '1 of them have no sound, such as .*lost.npy'),
])
def test_what_is_wrong_with_a_folder_is_said(tmp_path, file, old, new, kind,
                                             words):
    write_folder(tmp_path)
    edit(tmp_path / file, old, new)
    with pytest.raises(kind, match=words):
        BinauralFolder(tmp_path)


def test_an_index_from_a_table_program_and_other_bytes(tmp_path):
    write_folder(tmp_path)
    index = tmp_path / 'index.csv'
    plain = BinauralFolder(tmp_path)
    index.write_bytes(b'\xef\xbb\xbf' + index.read_bytes())
    again = BinauralFolder(tmp_path)
    assert [again.row(i) for i in range(len(again))
            ] == [plain.row(i) for i in range(len(plain))]
    index.write_bytes(b'\x00\xff\xfe' * 9)
    with pytest.raises(ValueError, match='index.csv is no text in UTF-8'):
        BinauralFolder(tmp_path)
    (tmp_path / 'dataset.json').write_text('[]')
    with pytest.raises(ValueError, match='dataset.json holds a list'):
        BinauralFolder(tmp_path)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match='is no binaural folder'):
        BinauralFolder(tmp_path / 'none')
    write_folder(tmp_path)
    index = tmp_path / 'index.csv'
    index.write_text(index.read_text().splitlines()[0] + '\n')
    with pytest.raises(ValueError, match='no rows; every file was skipped'):
        BinauralFolder(tmp_path)


def test_damaged_sound_and_sound_of_another_kind(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / 'audio' / 'r0.npy'
    whole = path.read_bytes()
    # In the samples, in the header, and no array at all.
    for content in (whole[:-1], whole[:40], b'', b'RIFF' + whole):
        path.write_bytes(content)
        folder = BinauralFolder(tmp_path)
        with pytest.raises(UnreadableSampleError, match='r0.npy cannot be'):
            folder.audio('r0')
        assert folder.lengths().tolist() == [-1, 20000, 20000]
    for wrong in (coded(0, 10, 1), coded(0, 10, 2).astype(np.float32),
                  coded(0, 10, 2)[:, 0]):
        np.save(path, wrong)
        with pytest.raises(ValueError, match='but pairs of ears are int16'):
            BinauralFolder(tmp_path).audio('r0')


def test_settings_of_the_data_set_are_kept(tmp_path):
    write_folder(tmp_path, source='made here', head='KEMAR')
    info = json.loads((tmp_path / 'dataset.json').read_text())
    assert info['source'] == 'made here' and info['head'] == 'KEMAR'
    assert BinauralFolder(tmp_path).info == info


def test_reading_and_resampling_sound_files(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    time = np.arange(44100) / 44100
    # The right ear later by 0.5 ms and 6 dB down.
    ears = np.stack([
        np.sin(2 * np.pi * 440 * time),
        0.5 * np.sin(2 * np.pi * 440 * (time - 5e-4))
    ], 1).astype(np.float32) * 0.5
    path = tmp_path / 'a.wav'
    soundfile.write(path, ears, 44100, subtype='FLOAT')
    samples, rate = read_audio(path)
    assert rate == 44100 and np.array_equal(samples, ears)
    assert resample(samples, rate, rate) is samples
    low = resample(samples, rate, 16000)
    assert low.shape == (16000, 2) and low.dtype == np.float32
    time = np.arange(16000) / 16000
    expected = 0.5 * np.sin(2 * np.pi * 440 * time)
    # Away from the ends, where the filter sees silence.
    assert np.abs(low[400:-400, 0] - expected[400:-400]).max() < 1e-3
    expected = 0.25 * np.sin(2 * np.pi * 440 * (time - 5e-4))
    assert np.abs(low[400:-400, 1] - expected[400:-400]).max() < 1e-3


def test_another_rate_is_said_once(monkeypatch):
    from mmmultissl.datasets.binaural import audio_io
    said = []
    monkeypatch.setattr(audio_io, 'print_log',
                        lambda text, **kwargs: said.append(text))
    to_16k = Resampler(16000)
    for rate in (44100, 44100, 16000, 48000, 48000):
        assert len(to_16k(np.zeros((rate, 2), np.float32), rate)) == 16000
    assert said == [
        'Files at 44100 Hz are resampled to 16000 Hz.',
        'Files at 48000 Hz are resampled to 16000 Hz.'
    ]
    assert to_16k.counts == {44100: 2, 16000: 1, 48000: 2}


def test_sound_files_that_cannot_be_used(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    path = tmp_path / 'a.wav'
    with pytest.raises(FileNotFoundError, match='a.wav does not exist'):
        read_audio(path)
    path.write_bytes(b'no sound')
    with pytest.raises(UnreadableSampleError, match='a.wav cannot be read'):
        read_audio(path)
    soundfile.write(path, np.zeros((0, 2)), 16000)
    with pytest.raises(UnreadableSampleError, match='has no samples'):
        read_audio(path)
    samples = np.zeros((100, 2), np.float32)
    samples[3, 1], samples[7, 0] = np.nan, np.inf
    soundfile.write(path, samples, 16000, subtype='FLOAT')
    with pytest.raises(UnreadableSampleError, match='2 NaN or infinite'):
        read_audio(path)


def test_the_folder_needs_no_package_for_sound():
    """Sound files, videos and the like are read by converters only."""
    code = ('import sys; import mmmultissl, mmmultissl.datasets; '
            'print([m for m in ("soundfile", "av", "h5py", "librosa", '
            '"pyroomacoustics", "torchaudio") if m in sys.modules])')
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True,
        env=dict(os.environ))
    assert done.stdout.splitlines()[-1] == '[]', done.stderr
