# Copyright (c) mmmultissl contributors. All rights reserved.
"""Whole recordings: frames, labels, splits, seeds, and the folder."""
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralFolder, BinauralWriter
from mmmultissl.datasets.binaural.simulate.cues import interaural_level
from mmmultissl.datasets.binaural.simulate.head import Head
from mmmultissl.datasets.binaural.simulate.panorama import (column_of,
                                                            paint_background,
                                                            paint_emblem,
                                                            paint_frame)
from mmmultissl.datasets.binaural.simulate.render import nearest_direction
from mmmultissl.datasets.binaural.simulate.scene import (SceneSettings,
                                                         draw_sources)
from mmmultissl.datasets.binaural.simulate.simulate import Simulator, simulate
from mmmultissl.datasets.binaural.simulate.sounds import sounds_of
from mmmultissl.datasets.binaural.simulate.spherical_head import spherical_head
from mmmultissl.datasets.binaural.simulate.splits import (EVERYWHERE, SPLITS,
                                                          directions_of)
from mmmultissl.datasets.binaural.simulate.synthesised import SynthesisedSounds
from mmmultissl.datasets.unreadable import UnreadableSampleError
from tests.test_datasets.test_simulate_heads import write_sofa
from tools.simulate_scenes import main

ROOT = Path(__file__).parents[2]
ESC = ROOT / 'data' / 'ESC-10'
SMALL = SceneSettings(seconds=6., frame_size=(96, 48))


@pytest.fixture(scope='module')
def head():
    return spherical_head(16000)


def make(head, settings=SMALL, **keys):
    heads = dict.fromkeys(SPLITS, [head])
    return Simulator(settings, SynthesisedSounds(16000), heads, **keys)


def test_columns_are_the_formats():
    assert column_of(0., 360) == 180. and column_of(90., 360) == 90.
    assert column_of(-90., 360) == 270. and column_of(180., 360) == 0.


@pytest.mark.parametrize('azimuth', [0., 90., -60., 180., 171.5])
def test_objects_are_where_they_sound(azimuth):
    rng = np.random.default_rng(0)
    background = paint_background(rng, 256, 128)
    frame = paint_frame(background, [paint_emblem(rng, 0)], [0], [azimuth],
                        [1.])
    columns = np.where(frame.labels == 1)[1]
    # The mean on a circle, as an object may lie across the frame's ends.
    mean = np.angle(np.exp(2j * np.pi * (columns + .5) / 256).mean())
    gap = mean / (2 * np.pi) * 256 - column_of(azimuth, 256)
    assert abs((gap + 128) % 256 - 128) < 1.
    outside = frame.labels == 0
    blank = cv2.dilate((~outside).astype(np.uint8), np.ones((5, 5))) == 0
    # Nothing else changes: only the edges, which are smooth, and the ends.
    blank[:, :3] = blank[:, -3:] = False
    assert np.array_equal(frame.image[blank], background[blank])
    # Louder is larger, and another class has another number.
    soft = paint_frame(background, [paint_emblem(rng, 3)], [3], [0.], [0.])
    assert set(np.unique(soft.labels)) == {0, 4}
    assert 0 < (soft.labels > 0).sum() < (frame.labels > 0).sum()


def test_backgrounds_join():
    image = paint_background(np.random.default_rng(3), 256, 128).astype(int)
    steps = np.abs(np.diff(image, axis=1)).mean((0, 2))
    joint = np.abs(image[:, 0] - image[:, -1]).mean()
    assert joint < 3 * steps.mean() + 2


def test_directions_of_splits_do_not_meet():
    rng = np.random.default_rng(0)
    whole = np.arange(-180, 180)
    owned = [directions_of(split, True).holds(whole) for split in SPLITS]
    assert (np.sum(owned, 0) == 1).all() and owned[0].mean() == .5
    for split, own in zip(SPLITS, owned):
        directions = directions_of(split, True)
        drawn = {directions.draw(rng) for _ in range(3000)}
        assert drawn == set(np.where(whole == -180, 180, whole)[own] * 1.)
        # Moving, and turned with the head, they stay in their bins; every
        # 30 degrees the place in the bin comes back.
        start = directions.draw(rng)
        path = directions.along(start, np.linspace(-400, 400, 2001))
        for heading in (0, 90, 180, 270):
            heard = nearest_direction(path - heading)
            assert directions.holds(heard).all()
        gap = directions.along(start, 60.) - start
        assert (gap - 60.) % 360. == pytest.approx(0., abs=1e-6)
    assert EVERYWHERE.along(-170., -25.) == pytest.approx(165.)


def test_sources_are_apart_and_alternate():
    rng = np.random.default_rng(0)
    sounds = SynthesisedSounds(16000)
    settings = SceneSettings()
    for _ in range(20):
        sources = draw_sources(rng, settings, sounds, 'val', ('source', ))
        assert len({source.index for source in sources}) == len(sources)
        assert len({source.speed for source in sources}) == 1
        for source in sources:
            assert '-val-' in source.sound.original
            dry = source.dry(settings.seconds, 16000)
            assert len(dry) == 320000
            power = np.square(dry.astype(float))
            on = np.zeros(len(dry), bool)
            for first, last in source.events:
                on[int(first * 16000):int(last * 16000)] = True
            assert not power[~on].any() and power[on].any()
            assert [source.sounds_at(t) for t in (3., 9.)
                    ] == [on[48000], on[144000]]


def test_recording_agrees_with_itself(head):
    simulator = make(head)
    made = simulator.recording('train', 0)
    again = make(head).recording('train', 0)
    other = make(head, seed=1).recording('train', 0)
    assert np.array_equal(made['audio'], again['audio'])
    assert made['files'] == again['files'] and made['rows'] == again['rows']
    assert not np.array_equal(made['audio'], other['audio'])
    assert made['audio'].shape == (96000, 8)
    assert 1000 < np.abs(made['audio'].astype(int)).max() <= 32767
    truth = json.loads(made['files']['truth/train_00000.json'])
    for row, anchor in zip(made['rows'], truth['anchors']):
        labels = cv2.imdecode(
            np.frombuffer(made['files'][row['labels']], np.uint8), -1)
        mask = cv2.imdecode(
            np.frombuffer(made['files'][row['foreground']], np.uint8), -1)
        assert np.array_equal(mask, np.where(labels > 0, 255, 0))
        shown = {simulator.sounds.classes[c - 1] for c in np.unique(labels)
                 if c}
        assert shown <= set(row['class']) and row['class'][0] in shown
        for heard, azimuth in zip(anchor['sounding'], row['azimuth']):
            source = truth['sources'][heard['source']]
            assert azimuth == heard['azimuth']
            tenth = source['azimuths_every_tenth'][round(anchor['time'] * 10)]
            assert azimuth == pytest.approx(tenth, abs=.01)
            assert any(on <= anchor['time'] < off
                       for on, off in source['events'])


def test_sound_is_on_the_side_of_its_object(head):
    settings = SceneSettings(
        seconds=6., sources=(1, 1), moving=0., frame_size=(96, 48))
    simulator = make(head, settings)
    checked = 0
    for number in range(6):
        made = simulator.recording('train', number)
        row = made['rows'][0]
        clip = made['audio'][row['start']:row['start'] + 32000].astype(float)
        for pair, heading in enumerate(settings.headings):
            lateral = np.sin(np.radians(row['azimuth'][0] - heading))
            power = np.square(clip[:, 2 * pair:2 * pair + 2]).sum(0)
            if abs(lateral) > .3:
                assert np.sign(power[0] - power[1]) == np.sign(lateral)
                checked += 1
    assert checked >= 12


def test_folder_is_written_and_continued(tmp_path, head, capsys):
    counts = dict(train=2, val=1, test=1)

    def run(root, counts):
        simulator = make(head)
        with BinauralWriter(
                root,
                16000,
                headings=SMALL.headings,
                panorama=True,
                classes=simulator.sounds.classes,
                **simulator.information()) as writer:
            simulate(writer, simulator, counts)

    run(tmp_path / 'once', counts)
    run(tmp_path / 'twice', dict(train=1))
    run(tmp_path / 'twice', counts)
    files = [
        sorted(path.relative_to(root) for path in root.rglob('*.*'))
        for root in (tmp_path / 'once', tmp_path / 'twice')
    ]
    assert files[0] == files[1] and len(files[0]) > 40
    for file in files[0]:
        assert (tmp_path / 'once' / file).read_bytes() == (
            tmp_path / 'twice' / file).read_bytes()
    folder = BinauralFolder(tmp_path / 'once')
    assert folder.audio('train_00000').shape == (96000, 8)


def test_sounds_of_a_folder(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    rng = np.random.default_rng(0)
    quiet = np.zeros(8000)
    for label in ('cat', 'dog'):
        (tmp_path / label).mkdir()
        for number in range(5):
            sound = np.concatenate(
                [quiet, rng.standard_normal(20000) / 20, quiet])
            soundfile.write(tmp_path / label / f'{number}.wav', sound, 16000)
    sounds = sounds_of(tmp_path, 16000)
    assert sounds.classes == ('cat', 'dog')
    seen = {
        split: {sounds.draw(rng, 'cat', split).original for _ in range(40)}
        for split in SPLITS
    }
    assert seen == dict(
        train={'cat/0.wav', 'cat/1.wav', 'cat/2.wav'},
        val={'cat/3.wav'}, test={'cat/4.wav'})
    drawn = sounds.draw(rng, 'dog', None).samples
    assert np.mean(np.square(drawn)) == pytest.approx(1., abs=1e-3)
    assert 20000 <= len(drawn) <= 20000 + 2 * 320
    soundfile.write(tmp_path / 'dog' / '4.wav', quiet, 16000)
    with pytest.raises(ValueError, match='silent'):
        sounds_of(tmp_path, 16000).draw(rng, 'dog', 'test')
    (tmp_path / 'fox').mkdir()
    with pytest.raises(ValueError, match='three at least'):
        sounds_of(tmp_path, 16000)


@pytest.mark.skipif(not ESC.is_dir(), reason=f'{ESC} is not there')
def test_esc_originals_do_not_cross():
    sounds = sounds_of(ESC, 16000)
    assert len(sounds.classes) == 10
    of = [{name for pairs in sounds.files[split].values()
           for name, _ in pairs} for split in SPLITS]
    assert not of[0] & of[1] and not of[0] & of[2] and not of[1] & of[2]
    assert len(of[0]) > len(of[1])
    files = {**sounds.files, 'val': sounds.files['train']}
    with pytest.raises(ValueError, match='is in the splits train and val'):
        type(sounds)(files, 16000)


def write_sounds(root, seed, labels=('cat', 'dog'), seconds=.5):
    """Noise in root/CLASS/N.wav: equal names and sizes, another seed's."""
    soundfile = pytest.importorskip('soundfile')
    rng = np.random.default_rng(seed)
    for label in labels:
        (root / label).mkdir(parents=True)
        for number in range(3):
            soundfile.write(root / label / f'{number}.wav',
                            rng.standard_normal(int(seconds * 16000)) / 20,
                            16000)
    return root


def run_tool(out, *options, recordings=(1, 0, 0)):
    """The tool in this process, small scenes; its exit status."""
    return main([
        str(out), '--seconds', '4', '--frame-size', '64', '32', '--recordings',
        *map(str, recordings), *map(str, options)
    ])


def refusal(capsys):
    """What it has said, which is to be one sentence."""
    said = capsys.readouterr().err.strip()
    assert said.count('\n') == 0 and said.endswith('.')
    return said


def test_other_sounds_do_not_go_on(tmp_path, capsys):
    write_sounds(tmp_path / 'A', 0)
    write_sounds(tmp_path / 'B', 1)
    out = tmp_path / 'scenes'
    assert run_tool(out, '--sounds', tmp_path / 'A') == 0
    begun = (out / 'dataset.json').read_bytes()
    assert str(tmp_path).encode() not in begun
    capsys.readouterr()
    assert run_tool(
        out, '--sounds', tmp_path / 'B', recordings=(2, 0, 0)) == 1
    assert 'was begun with sound_files=' in refusal(capsys)
    assert len(list((out / 'audio').iterdir())) == 1
    # A folder that was moved holds the same sounds.
    (tmp_path / 'A').rename(tmp_path / 'moved')
    assert run_tool(
        out, '--sounds', tmp_path / 'moved', recordings=(2, 0, 0)) == 0
    assert (out / 'dataset.json').read_bytes() == begun
    # A sound more changes what is drawn.
    shutil.copy(tmp_path / 'B' / 'cat' / '0.wav',
                tmp_path / 'moved' / 'cat' / '3.wav')
    capsys.readouterr()
    assert run_tool(out, '--sounds', tmp_path / 'moved') == 1
    assert 'was begun with sound_files=' in refusal(capsys)


def test_classes_that_are_left_out_do_not_count(tmp_path):
    labels = ('ant', 'bee', 'cat')
    files = write_sounds(tmp_path / 'A', 0, labels)
    chosen = ('--sounds', files, '--classes', 'bee', 'ant')
    assert run_tool(tmp_path / 'scenes', *chosen) == 0
    (files / 'cat' / '0.wav').write_bytes(b'damaged')
    assert run_tool(
        tmp_path / 'scenes', *chosen, recordings=(2, 0, 0)) == 0


def test_folders_of_before_do_not_go_on_by_themselves(tmp_path, capsys):
    write_sounds(tmp_path / 'A', 0)
    out = tmp_path / 'scenes'
    assert run_tool(out, '--sounds', tmp_path / 'A') == 0
    info = json.loads((out / 'dataset.json').read_text())
    digest = info.pop('sound_files')
    (out / 'dataset.json').write_text(json.dumps(info))
    capsys.readouterr()
    assert run_tool(out, '--sounds', tmp_path / 'A') == 1
    said = refusal(capsys)
    assert f'"sound_files": "{digest}"' in said and 'another folder' in said
    # As the sentence says.
    (out / 'dataset.json').write_text(
        json.dumps(dict(info, sound_files=digest)))
    assert run_tool(
        out, '--sounds', tmp_path / 'A', recordings=(2, 0, 0)) == 0
    # What needs no file is what it was.
    assert run_tool(tmp_path / 'synthesised') == 0
    info = json.loads((tmp_path / 'synthesised/dataset.json').read_text())
    assert not {'sound_files', 'head_files'} & set(info)


def test_other_heads_of_the_same_name_do_not_go_on(tmp_path, head, capsys):
    for name, gain in (('A', 1.), ('B', .5)):
        (tmp_path / name).mkdir()
        write_sofa(
            tmp_path / name / 'ear.sofa',
            Head(head.azimuths, gain * head.responses, 16000, 'ear'))
    out = tmp_path / 'scenes'
    assert run_tool(out, '--heads', tmp_path / 'A' / 'ear.sofa') == 0
    info = json.loads((out / 'dataset.json').read_text())
    assert list(info['head_files']) == ['ear']
    assert str(tmp_path) not in str(info)
    capsys.readouterr()
    assert run_tool(out, '--heads', tmp_path / 'B' / 'ear.sofa') == 1
    assert "was begun with head_files.ear='" in refusal(capsys)
    (tmp_path / 'A').rename(tmp_path / 'C')
    assert run_tool(
        out, '--heads', tmp_path / 'C' / 'ear.sofa',
        recordings=(2, 0, 0)) == 0


@pytest.mark.parametrize('options, words', [
    (('--noise', 'nan'), 'Scenes need noise from -200 to 20'),
    (('--noise', 'inf'), 'Scenes need noise from -200 to 20'),
    (('--levels', '200', '200'), 'Scenes need levels from -60 to 20'),
    (('--levels', '-300', '-300'), 'Scenes need levels from -60 to 20'),
    (('--levels', 'nan', 'nan'), 'Scenes need levels from -60 to 20'),
    (('--on', 'nan', 'nan'), 'Scenes need on from 0 to'),
    (('--on', '0.01', '0.02'), 'the longest lasts 0.02 s'),
    (('--off', '1', 'inf'), 'Scenes need off from 0 to'),
    (('--moving', '7'), 'Scenes need moving from 0 to 1'),
    (('--moving', '-1'), 'Scenes need moving from 0 to 1'),
    (('--moving', 'nan'), 'Scenes need moving from 0 to 1'),
    (('--speed', 'nan'), 'Scenes need speed from 0 to 360'),
    (('--every', 'nan'), 'Scenes need every from 0.01 to'),
    (('--seconds', 'inf'), 'Scenes need seconds from 0 to'),
    (('--room', 'nan', '1'), 'Scenes need reverberation from 0 to'),
    (('--frame-size', '100000', '64'), 'to 4096 wide'),
    (('--sample-rate', '0'), 'Scenes need sample_rate from 8000'),
    (('--sample-rate', '-1'), 'Scenes need sample_rate from 8000'),
    (('--sample-rate', '100'), 'Scenes need sample_rate from 8000'),
    (('--heads', 'sphere:-1'), 'has a radius of 0.03 to 0.3 m'),
    (('--heads', 'sphere:0'), 'has a radius of 0.03 to 0.3 m'),
    (('--heads', 'sphere:1e9'), 'has a radius of 0.03 to 0.3 m'),
    (('--heads', 'sphere:nan'), 'has a radius of 0.03 to 0.3 m'),
    (('--heads', 'sphere:big'), 'no radius in metres'),
    (('--classes', 'bell', 'bell'), 'The class bell is given twice'),
    (('--seed', '-1'), 'A seed is 0 or more, but got -1'),
    (('--recordings', '-1', '1', '1'), 'got -1 1 1'),
    (('--recordings', '0', '0', '0'), 'got 0 0 0'),
])
def test_tool_refuses_what_makes_no_scenes(tmp_path, capsys, options, words):
    assert run_tool(tmp_path / 'scenes', *options) == 1
    assert words in refusal(capsys)
    assert not (tmp_path / 'scenes').exists()


def test_settings_at_their_limits_are_taken():
    SceneSettings(levels=(-60., 20.), noise=-200., moving=0., speed=0.,
                  sample_rate=8000, every=.01)
    SceneSettings(moving=1., speed=360., sample_rate=192000, on=(.01, 1e6))


@pytest.mark.parametrize('radius', [.03, .3])
def test_smallest_and_largest_sphere_have_cues(radius):
    pair = spherical_head(48000, radius).at(90.)
    # The near ear is ahead by about a (1 + pi / 2) / c (Woodworth).
    lag = np.subtract(*np.argmax(np.abs(pair[::-1]), 1)) / 48000
    assert lag == pytest.approx(radius / 343 * (1 + np.pi / 2), rel=.15)
    assert interaural_level(pair) > .5


def test_heads_with_a_hole_do_not_begin_a_folder(tmp_path, head, capsys):
    front = np.abs(head.azimuths) <= 90.
    write_sofa(
        tmp_path / 'front.sofa',
        Head(head.azimuths[front], head.responses[front], 16000, 'front'))
    options = ('--heads', tmp_path / 'front.sofa')
    assert run_tool(tmp_path / 'scenes', *options) == 1
    assert '--mirror-back' in refusal(capsys)
    # Nothing is there that the sentence's advice would disagree with.
    assert run_tool(tmp_path / 'scenes', *options, '--mirror-back') == 0


def test_interrupted_tool_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    recording = Simulator.recording

    def interrupted(self, split, number):
        if number == 1:
            raise KeyboardInterrupt
        return recording(self, split, number)

    out = tmp_path / 'scenes'
    with monkeypatch.context() as patch:
        patch.setattr(Simulator, 'recording', interrupted)
        assert run_tool(out, recordings=(2, 0, 0)) == 130
    assert 'the same command goes on' in refusal(capsys)
    assert not (out / 'index.csv').exists()
    assert run_tool(out, recordings=(2, 0, 0)) == 0
    assert '2 recordings' in capsys.readouterr().out


@pytest.mark.parametrize('spoiled', ['text', 'short', 'empty', 'gone'])
def test_unreadable_sounds_are_named_before_the_first_scene(
        tmp_path, capsys, spoiled):
    soundfile = pytest.importorskip('soundfile')
    write_sounds(tmp_path / 'A', 0)
    file = tmp_path / 'A' / 'dog' / '2.wav'
    if spoiled == 'text':
        file.write_text('no sound')
    elif spoiled == 'gone':
        file.unlink()
        file.symlink_to('nowhere.wav')
    else:
        count = 319 if spoiled == 'short' else 0
        soundfile.write(file, np.ones(count) / 2, 16000)
    # One of the test split, of which nothing is to be made.
    assert run_tool(tmp_path / 'scenes', '--sounds', tmp_path / 'A') == 1
    assert str(file) in refusal(capsys)
    assert not (tmp_path / 'scenes').exists()


@pytest.mark.parametrize('samples', [
    np.ones(100),
    np.append(np.zeros(3200), np.ones(100)),
    np.full(3200, 1e-25),
])
def test_sounds_without_a_loud_frame_are_named(tmp_path, samples):
    soundfile = pytest.importorskip('soundfile')
    write_sounds(tmp_path / 'A', 0)
    file = tmp_path / 'A' / 'cat' / '2.wav'
    soundfile.write(file, samples / 2, 16000, subtype='FLOAT')
    sounds = sounds_of(tmp_path / 'A', 16000)
    with pytest.raises(UnreadableSampleError, match='20 ms') as caught:
        sounds.draw(np.random.default_rng(0), 'cat', 'test')
    assert str(file) in str(caught.value)


def test_esc_table_with_a_fold_that_is_no_number(tmp_path):
    (tmp_path / 'meta').mkdir()
    (tmp_path / 'meta' / 'esc10.csv').write_text(
        'filename,fold,category,src_file\na.wav,one,dog,1.wav\n')
    with pytest.raises(ValueError, match='fold one of a.wav'):
        sounds_of(tmp_path, 16000)


def test_settings_and_splits_out_of_range(head):
    with pytest.raises(ValueError, match='four sources at most'):
        SceneSettings(sources=(1, 9))
    with pytest.raises(ValueError, match='cannot be made'):
        SceneSettings(seconds=1.)
    with pytest.raises(ValueError, match='cannot be kept apart'):
        make(head, apart=('weather', ))
    with pytest.raises(ValueError, match='in the splits train and val'):
        make(head, apart=('head', ))


@pytest.mark.parametrize('splits', [('train', 'train'), ('train', 'test')])
def test_two_heads_of_one_name_are_refused(head, splits):
    heads = {split: [head] for split in SPLITS}
    other = Head(head.azimuths, head.responses / 2, 16000, head.name)
    heads[splits[1]] = heads[splits[1]] + [other]
    with pytest.raises(ValueError, match='sphere:0.0875: rename'):
        Simulator(SMALL, SynthesisedSounds(16000), heads)
    # The same one, read twice, is no other.
    heads[splits[1]][-1] = Head(head.azimuths, head.responses, 16000,
                                head.name)
    Simulator(SMALL, SynthesisedSounds(16000), heads)


def test_sources_that_turn_do_not_meet():
    # Whole degrees, 40 apart at the start, as they turn by a whole bin.
    turned = np.linspace(0., 30., 301)
    nearest = []
    for split in SPLITS:
        directions = directions_of(split, True)
        whole = np.arange(-180., 180.)
        whole = whole[directions.holds(whole)]
        paths = np.stack([directions.along(w, turned) for w in whole])
        apart = np.abs((paths[:, None] - paths + 180.) % 360. - 180.)
        nearest.append(apart[apart[:, :, 0] >= 40.].min())
    assert nearest == pytest.approx([31.] * 3, abs=.01)


def test_tool(tmp_path):
    command = [
        sys.executable, 'tools/simulate_scenes.py', tmp_path / 'scenes',
        '--recordings', '1', '1', '1', '--seconds', '4', '--frame-size',
        '64', '32'
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert '100%' in done.stdout and '3 recordings' in done.stdout
    wrong = subprocess.run(
        command + ['--heads', 'none.sofa'], cwd=ROOT, capture_output=True,
        text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.strip().splitlines()[-1].startswith(
        'There is no SOFA file none.sofa')
