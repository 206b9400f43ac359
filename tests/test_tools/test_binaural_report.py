# Copyright (c) mmmultissl contributors. All rights reserved.
"""The report's binaural part: what it plays, draws, finds and writes."""
import base64
import io
import json
import re
import wave

import numpy as np
import pytest
import torch

import mmmultissl  # noqa: F401
from mmmultissl.datasets.binaural.simulate.scene import SceneSettings
from mmmultissl.datasets.binaural.simulate.simulate import Simulator, simulate
from mmmultissl.datasets.binaural.simulate.spherical_head import spherical_head
from mmmultissl.datasets.binaural.simulate.synthesised import SynthesisedSounds
from mmmultissl.datasets.binaural.writer import BinauralWriter
from mmmultissl.registry import METRICS
from mmmultissl.utils.command_line import read_config
from mmmultissl.visualization import ears
from mmmultissl.visualization.report.binaural import (frames, results,
                                                      retrieval, runs,
                                                      semantic, sound)

from .test_report import DEMO, Reader, leave_training, report

RATE = 16000
FIGURES = {
    'azimuth': {'azimuth/error': 43.21, 'azimuth/constant_error': 81.,
                'azimuth/lateral_error': 15.94,
                'azimuth/left_right_accuracy': 100.},
    'retrieval': {'retrieval/recordings/sound-to-frame_R@1': 41.26,
                  'retrieval/recordings/chance_R@1': 5.,
                  'retrieval/all/sound-to-frame_R@5': 34.5,
                  'retrieval/all/chance_R@5': 3.055},
    's3r': {'s3r/stft': 1.319, 's3r/copy_stft': 2.8, 's3r/mono_stft': 1.741,
            's3r/silence_stft': 1.5, 's3r/silence_env': .27,
            's3r/env': .21, 's3r/copy_env': .15, 's3r/mono_env': .17},
    'semantic': {'semantic/foreground/mIoU': 63.82,
                 'semantic/foreground/constant_mIoU': 5.24,
                 'semantic/all/mIoU': 14.04,
                 'semantic/all/constant_mIoU': .139},
}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Simulate two recordings and leave a run of each task, untrained."""
    folder = tmp_path_factory.mktemp('binaural')
    scenes = folder / 'scenes'
    settings = SceneSettings(sources=(1, 1), seconds=8., frame_size=(64, 32))
    sounds = SynthesisedSounds(RATE)
    heads = dict.fromkeys(('train', 'val', 'test'), [spherical_head(RATE)])
    simulator = Simulator(settings, sounds, heads, ('source', 'direction'), 3)
    with BinauralWriter(scenes, RATE, headings=settings.headings,
                        panorama=True, classes=sounds.classes) as writer:
        simulate(writer, simulator, dict(test=2))

    out = folder / 'runs'
    config = read_config(str(DEMO / 'binaural_demo.py'))
    losses = [{'step': step, 'time': .5, 'loss': 3., 'spatial.loss': .6,
               'spatial.accuracy': .7, 'foreground.loss': .7, 'gap.loss': 1.}
              for step in (10, 20)]
    leave_training(out / 'pretrain', config, 'mmpretrain', 20, losses)
    (out / 'pretext.json').write_text(json.dumps({
        'spatial.accuracy': .8691, 'spatial.loss': .3,
        'foreground.accuracy': .7819, 'gap.accuracy': .5235}))
    for name in ('random', 'pretrained'):
        for task, figures in FIGURES.items():
            if name == 'random' and task == 's3r':
                continue
            config = read_config(str(DEMO / f'binaural_{task}_demo.py'))
            config.val_dataloader.dataset.data_root = str(scenes)
            leave_training(out / name / task, config, 'mmpretrain', 8, [
                dict(step=5, time=.1, loss=2.), dict(step=8, **figures)])
    return out


def test_the_page_holds_what_the_runs_left(made, capsys):
    out, text = made / 'page.html', made / 'page.txt'
    report.main(['--binaural', str(made), '--out', str(out), '--text',
                 str(text)])
    page = out.read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.headings == [
        'Binaural tasks', 'Losses of the binaural tasks', 'What is heard',
        'Azimuth', 'Retrieval', 'Spatial sound super-resolution',
        'Semantic prediction'
    ]
    assert reader.cells == [
        ['pretext task', 'accuracy', 'chance'],
        ['foreground', '78.2', '50.0'], ['gap', '52.3', '33.3'],
        ['spatial', '86.9', '50.0'],
        ['downstream task', 'better', 'guess', 'random', 'pretrained'],
        ['azimuth: mean error, degrees', 'less', '81.0', '43.2', '43.2'],
        ['azimuth: error to the side, degrees', 'less', '45.0', '15.9',
         '15.9'],
        ['azimuth: left or right, per cent', 'more', '50.0', '100.0',
         '100.0'],
        ['retrieval: right recording, R@1', 'more', '5.00', '41.3', '41.3'],
        ['retrieval: right clip, R@5', 'more', '3.06', '34.5', '34.5'],
        # The best of copy, mono and silence; this run has no random control.
        ['S3R: STFT distance', 'less', '1.50', '–', '1.32'],
        ['S3R: envelope distance', 'less', '0.15', '–', '0.21'],
        ['semantic: mIoU on the objects', 'more', '5.24', '63.8', '63.8'],
        ['semantic: mIoU on all pixels', 'more', '0.14', '14.0', '14.0'],
    ]
    # Nothing from elsewhere, and all of it can be decoded.
    assert 'http' not in page and '@import' not in page
    sounds = [a for a in reader.addresses if a.startswith('data:audio/wav')]
    pictures = [a for a in reader.addresses if a.startswith('data:image/jpeg')]
    links = [a for a in reader.addresses if a.startswith('#s')]
    assert len(sounds) + len(pictures) + len(links) == len(reader.addresses)
    # Two clips: heard, asked by sound, and the three waves of S3R.
    assert len(sounds) == 2 * (1 + 1 + 3)
    assert {decode(address)[1].shape for address in sounds} == {
        (2 * RATE, 2)}
    assert text.read_text() in capsys.readouterr().out


def decode(address):
    head, _, content = address.partition(',')
    assert head == 'data:audio/wav;base64'
    with wave.open(io.BytesIO(base64.b64decode(content))) as reader:
        samples = np.frombuffer(
            reader.readframes(reader.getnframes()), '<i2')
        return reader.getframerate(), samples.reshape(
            -1, reader.getnchannels())


def test_a_run_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match='pretext.json is missing'):
        runs.find_binaural_runs(tmp_path)
    with pytest.raises(SystemExit):
        report.main([])


# Sound


def test_a_player_holds_the_sound():
    ears = np.stack([np.linspace(-1, 1, 50), np.zeros(50)])
    rate, samples = decode(sound.wav_uri(ears, 8000))
    assert rate == 8000 and samples.shape == (50, 2)
    assert np.abs(samples.T / 32767 - ears).max() < 1 / 32767


def test_players_keep_levels_and_can_be_added_up():
    loud, faint = np.full((2, 9), 1.6), np.full((2, 9), -.4)
    html = sound.players(dict(loud=loud, faint=faint), RATE)
    found = [decode(address)[1]
             for address in re.findall(r'src="([^"]*)"', html)]
    assert found[0].max() == pytest.approx(-4 * found[1].min(), abs=4)
    assert all(np.abs(its.sum(1, dtype=int)).max() <= 32767 + 1
               for its in found)
    # Silence stays silence.
    assert 'nan' not in sound.players(dict(none=np.zeros((2, 4))), RATE)


def test_the_louder_ear_is_seen_on_its_side():
    power = np.full((2, 4, 6), 1e-9)
    power[0, 0, :3] = 1.  # left, low frequency, first half
    power[1, 3, 3:] = 1.  # right, high frequency, second half
    picture = ears.difference_picture(power)
    assert (picture[3, :3] == ears._LEFT).all()
    assert (picture[0, 3:] == ears._RIGHT).all()
    assert (picture[1:3] == ears._ALIKE).all()
    left, right = ears.ear_pictures(power)
    assert left[3, 0].sum() > left[0, 0].sum() == right[3, 0].sum()


# Frames


def test_marks_are_where_azimuths_are():
    frame = np.zeros((50, 200, 3), np.uint8)
    marks = [frames.Mark(azimuth, '<x>', 'red') for azimuth in (0, 90, -90)]
    shown = frames.marked_frame(frame, marks, True)
    assert re.findall(r'd="M([\d.]+) 0V50" stroke-width', shown) == [
        '100.0', '50.0', '150.0']
    assert '<x>' not in shown and '&lt;x&gt;' in shown
    assert '<path' not in frames.marked_frame(frame, marks, False)


def test_a_panorama_is_turned_and_no_frame_is_grey(made):
    clips = runs.Predictor(runs.WorkDir(made / 'random' / 'azimuth')).clips
    ahead, left = (frames.frame_of(clips, 0, heading, 64)
                   for heading in (0., 90.))
    assert ahead.shape == (32, 64, 3)
    # What was at the left is in the middle.
    assert (left[:, 32] == ahead[:, 16]).all() and (left != ahead).any()
    clips.folder.columns['frame'][clips.indices[0]] = ''
    assert (frames.frame_of(clips, 0, 0., 64) == 128).all()


def test_classes_are_painted_over_the_frame():
    colours = semantic.class_colours(3)
    assert len(set(colours)) == 3
    labels = np.array([[0, 1], [3, 255]], np.uint8)
    picture = semantic.painted(
        np.full((4, 4, 3), 90, np.uint8), labels, colours)
    assert picture[0, 0].tolist() == [70] * 3
    assert picture[1, 3].tolist() == list(colours[0])
    assert picture[3, 1].tolist() == list(colours[2])
    assert picture[3, 3].tolist() == [128] * 3


# Figures


@pytest.mark.parametrize('kind, variant, chance', [
    ('Spatial', 'binary', 1 / 2), ('Spatial', 'heading', 1 / 4),
    ('TemporalGap', 'classes', 1 / 3), ('TemporalGap', 'signed', 1 / 6),
    ('TemporalGap', 'ordinal', 1 / 3)
])
def test_chance_is_that_of_the_variant(kind, variant, chance):
    task = dict(type=f'mmmultissl.{kind}Task', variant=variant, max_gap=3)
    assert results.chance_of(task) == pytest.approx(chance)


def test_the_best_frames_leave_out_neighbours_in_time():
    frame = torch.nn.functional.normalize(torch.randn(12, 5), dim=1)
    found = dict(
        frame=frame, sound=frame.roll(1, 0),
        recording=torch.arange(12) // 6, start=torch.arange(12) % 6 * 10)
    best = retrieval.best_frames(found, 3, 4, 20)
    left = [n for n in range(12) if n not in (2, 4)]
    scores = {n: float(frame[n] @ found['sound'][3]) for n in left}
    assert best == sorted(left, key=lambda n: -scores[n])[:4]
    # Frame 2 would be the sound's own vector.
    assert retrieval.best_frames(found, 3, 1, 5) == [2]


def test_the_figures_are_those_that_the_metrics_give():
    def figures(name, results, **settings):
        metric = METRICS.build(dict(type=f'mmmultissl.{name}', **settings))
        found = metric.compute_metrics(results)
        return {f'{metric.prefix}/{key}' for key in found}

    unit = torch.ones(2)
    table = torch.rand(4, 2, 3)
    given = {
        'azimuth': figures('AzimuthError', [(10., 5., 20.)]),
        'retrieval': figures('RetrievalRecall', [
            (unit, unit, number % 2, number) for number in range(4)]),
        's3r': figures('S3RDistance', [table]),
        'semantic': figures('SemanticIoU', [torch.ones(3, 3)], num_classes=2),
    }
    assert set(given) == set(FIGURES) == set(runs.DOWNSTREAM)
    for figure in results.FIGURES:
        assert figure.key in given[figure.task]
        if isinstance(figure.guess, tuple):
            assert set(figure.guess) <= given[figure.task]
