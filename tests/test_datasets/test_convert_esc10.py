# Copyright (c) mmmultissl contributors. All rights reserved.
"""ESC-10 and ESC-50: folds, equal ears, clips, and what is refused."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralFolder
from mmmultissl.datasets.binaural.convert.esc10 import (read_table,
                                                        split_of_fold)
from tests.test_datasets.media_files import killed_at, load_tool, noise, tree

soundfile = pytest.importorskip('soundfile')
RATE = 8000
DATA = Path(__file__).parents[2] / 'data/ESC-10'
main = load_tool('esc10')
COLUMNS = ('filename', 'fold', 'target', 'category', 'esc10', 'src_file',
           'take')
# Numbers and names as in ESC-50; the last one is not of ESC-10.
CLASSES = ((12, 'crackling_fire', 'True'), (0, 'dog', 'True'),
           (47, 'airplane', 'False'))


def make(root, sounds=lambda number: noise(5, RATE, 1, seed=number),
         folds=range(1, 6), name='esc50.csv'):
    """Every class has one recording per fold, of its own source."""
    (root / 'audio').mkdir(parents=True)
    (root / 'meta').mkdir()
    rows = []
    for fold in folds:
        for target, category, esc10 in CLASSES:
            source = str(1000 * fold + target)
            file = f'{fold}-{source}-A-{target}.wav'
            soundfile.write(root / 'audio' / file, sounds(len(rows)), RATE)
            rows.append((file, fold, target, category, esc10, source, 'A'))
    with open(root / 'meta' / name, 'w', newline='') as table:
        csv.writer(table).writerows([COLUMNS, *rows])
    return root


@pytest.fixture
def copy(tmp_path):
    return make(tmp_path / 'esc')


def convert(source, out, *options):
    assert main([str(source), str(out), '--sample-rate', str(RATE),
                 *options]) == 0
    return BinauralFolder(out)


def test_folds_splits_classes_and_equal_ears(copy, tmp_path):
    folder = convert(copy, tmp_path / 'out', '--test-folds', '5',
                     '--val-folds', '1')
    # In the order of their numbers.
    assert folder.classes == ('dog', 'crackling_fire', 'airplane')
    assert folder.info['folds'] == {
        str(1000 * fold + target): fold
        for fold in range(1, 6) for target, _, _ in CLASSES
    }
    split_of = {1: 'val', 2: 'train', 3: 'train', 4: 'train', 5: 'test'}
    assert len(folder.recordings) == 15 and len(folder) == 15 * 4
    for number in range(len(folder)):
        row = folder.row(number)
        fold = int(row['recording'][0])
        assert row['split'] == split_of[fold]
        assert folder.info['folds'][row['source_recording']] == fold
        assert row['class'] == (dict(
            (target, name) for target, name, _ in CLASSES)[
                int(row['recording'].split('-')[-1])], )
        assert row['headings'] == (0., ) and row['azimuth'] == ()
    assert sorted(set(folder.columns['start'])) == [0, 8000, 16000, 24000]
    name = folder.recordings[0]
    sound = folder.audio(name)
    assert (sound[:, 0] == sound[:, 1]).all()
    wav, _ = soundfile.read(copy / 'audio' / f'{name}.wav', dtype='int16')
    assert (sound[:, 0] == wav).all()


def test_the_loudest_part(tmp_path):

    def bark(number):
        samples = noise(5, RATE, 1, level=0.001, seed=number)
        start = 4000 + 1000 * number
        samples[start:start + RATE] = noise(1, RATE, 1, level=0.3,
                                            seed=number)
        return samples

    copy = make(tmp_path / 'esc', bark, folds=(1, 2, 3, 4))
    folder = convert(copy, tmp_path / 'out', '--clips', 'loudest')
    assert len(folder) == len(folder.recordings) == 12
    for name in folder.recordings:
        sound = folder.audio(name).astype(float)
        assert len(sound) == 2 * RATE
        # The whole bark is in it.
        loud = np.abs(sound[:, 0]) > 0.02 * 2**15
        assert 0.9 * RATE < loud.sum() < RATE


def test_zeros_after_the_sound_are_no_clips(tmp_path):

    def padded(number):
        samples = noise(5, RATE, 1, seed=number)
        samples[RATE:] = 0
        return samples

    folder = convert(make(tmp_path / 'esc', padded), tmp_path / 'out')
    assert set(folder.columns['start']) == {0}
    skipped = (tmp_path / 'out/skipped.csv').read_text()
    assert '3 of 4 clips,silent clips' in skipped


def test_only_the_classes_of_esc10(copy, tmp_path):
    folder = convert(copy, tmp_path / 'out', '--only-esc10')
    assert folder.classes == ('dog', 'crackling_fire')
    assert len(folder.recordings) == 10


def test_a_killed_conversion_goes_on(copy, tmp_path):
    arguments = [str(copy), str(tmp_path / 'out'), '--sample-rate', str(RATE)]
    killed_at(4, main, arguments)
    assert not (tmp_path / 'out/index.csv').exists()
    assert main(arguments) == 0
    convert(copy, tmp_path / 'whole')
    assert tree(tmp_path / 'out') == tree(tmp_path / 'whole')


def test_other_rate_and_unusable_files(copy, tmp_path, capsys):
    stereo, short, cut = sorted((copy / 'audio').iterdir())[:3]
    soundfile.write(stereo, noise(5, RATE), RATE)
    soundfile.write(short, noise(1, RATE, 1), RATE)
    cut.write_bytes(cut.read_bytes()[:9000])
    assert main([str(copy), str(tmp_path / 'out')]) == 0
    assert '12 recordings' in capsys.readouterr().out
    folder = BinauralFolder(tmp_path / 'out')
    assert folder.sample_rate == 16000
    assert len(folder.audio(folder.recordings[0])) == 5 * 16000
    skipped = (tmp_path / 'out/skipped.csv').read_text()
    for path, reason in ((stereo, 'not one channel (2)'),
                         (short, 'shorter than a clip (1.0 s)'),
                         (cut, 'truncated')):
        line, = [line for line in skipped.splitlines() if path.name in line]
        assert reason in line


@pytest.mark.parametrize('options, told', [
    (['--test-folds', '6'], 'There is no fold 6; choose among 1, 2, 3, 4, 5.'),
    (['--test-folds', '3'], 'Fold 3 is in --val-folds and in --test-folds'),
    (['--test-folds', '1', '2', '4', '5'], 'No fold is left to train with'),
    (['--hop-seconds', '0'], '--hop-seconds is 0.0; give a number above 0.'),
])
def test_settings_are_checked(copy, tmp_path, capsys, options, told):
    assert main([str(copy), str(tmp_path / 'out'), *options]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_damaged_copies_are_named(copy, tmp_path, capsys):
    table = copy / 'meta/esc50.csv'
    text = table.read_text()

    def told(changed):
        table.write_text(changed)
        assert main([str(copy), str(tmp_path / 'out')]) == 1
        return capsys.readouterr().err

    assert 'lacks the column src_file' in told(text.replace('src_file', 'src'))
    # The first source of fold 2 takes the name of one of fold 1.
    assert 'the source file 1012 in the folds 1 and 2' in told(
        text.replace(',2012,', ',1012,'))
    table.write_text(text)
    next((copy / 'audio').iterdir()).unlink()
    assert 'which the table names, does not exist' in told(text)
    table.unlink()
    assert main([str(copy), str(tmp_path / 'out')]) == 1
    assert 'has no table meta/esc*.csv' in capsys.readouterr().err


def test_every_fold_gets_a_split():
    assert split_of_fold([1, 2, 2, 3], [], [3]) == {
        1: 'train', 2: 'train', 3: 'test'}


@pytest.mark.skipif(not DATA.is_dir(), reason='needs data/ESC-10')
def test_the_real_table():
    table = read_table(DATA)
    assert len(table.rows) == 320 and len(table.classes) == 10
    assert set(table.folds.values()) == {1, 2, 3, 4}


@pytest.mark.skipif(not DATA.is_dir(), reason='needs data/ESC-10')
def test_real_recordings(tmp_path):
    table = read_table(DATA)
    part = tmp_path / 'esc'
    (part / 'meta').mkdir(parents=True)
    (part / 'audio').symlink_to(DATA / 'audio')
    # One of each class and fold.
    chosen = {(row['category'], row['fold']): row for row in table.rows}
    with open(part / 'meta/esc10.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, table.rows[0])
        writer.writeheader()
        writer.writerows(chosen.values())
    assert main([str(part), str(tmp_path / 'out'), '--clips',
                 'loudest']) == 0
    folder = BinauralFolder(tmp_path / 'out')
    assert len(folder) == 40 and folder.sample_rate == 16000
    assert json.loads(
        (tmp_path / 'out/dataset.json').read_text())['test_folds'] == [4]
