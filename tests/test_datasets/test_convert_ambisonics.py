# Copyright (c) mmmultissl contributors. All rights reserved.
"""First-order ambisonics: levels and signs of plane waves in closed form."""
from pathlib import Path

import numpy as np
import pytest

from mmmultissl.datasets.binaural import BinauralClips, BinauralFolder
from mmmultissl.datasets.binaural.convert.ambisonic_decode import (
    LoudspeakerRing, cardioid_pair, check_first_order, decode, encode,
    to_ambix, turned)
from mmmultissl.datasets.binaural.convert.unusable import UnusableFile
from mmmultissl.datasets.binaural.simulate.cues import (interaural_level,
                                                        interaural_time)
from mmmultissl.datasets.binaural.simulate.spherical_head import spherical_head
from tests.test_datasets.media_files import load_tool, noise, tree, write_video

RATE = 16000
HEADINGS = (0., 90., 180., -90.)
DATA = Path(__file__).parents[2] / 'data'
main = load_tool('ambisonics')


def wave(seconds=0.5, seed=0):
    return noise(seconds, RATE, 1, seed=seed)[:, 0].astype(np.float64)


@pytest.mark.parametrize('elevation', [0, 30, -60])
@pytest.mark.parametrize('azimuth', [0, 30, 90, 135, 180, -45, -90])
@pytest.mark.parametrize('convention', ['ambix', 'fuma'])
def test_cardioids_of_four_headings(convention, azimuth, elevation):
    signal = wave()
    stored = encode(signal, azimuth, elevation, convention)
    pairs = decode(to_ambix(stored, convention), HEADINGS, cardioid_pair)
    assert pairs.shape == (len(signal), 8)
    for i, heading in enumerate(HEADINGS):
        lateral = np.sin(np.radians(azimuth - heading)) * np.cos(
            np.radians(elevation))
        np.testing.assert_allclose(
            pairs[:, 2 * i], signal * (1 + lateral) / 2, atol=1e-12)
        np.testing.assert_allclose(
            pairs[:, 2 * i + 1], signal * (1 - lateral) / 2, atol=1e-12)


def test_conventions_order_and_scale():
    signal = wave()
    fuma = encode(signal, 90., 0., 'fuma')  # W X Y Z
    np.testing.assert_allclose(fuma[:, 0], signal / np.sqrt(2))
    np.testing.assert_allclose(fuma[:, 2], signal)
    ambix = encode(signal, 90., 0., 'ambix')  # W Y Z X
    np.testing.assert_allclose(ambix[:, 0], signal)
    np.testing.assert_allclose(ambix[:, 1], signal)
    # Taken for the other one, a source at the left would sound in front.
    wrong = cardioid_pair(to_ambix(fuma, 'ambix'))
    assert abs(interaural_level(wrong.T)) < 1
    with pytest.raises(ValueError, match='no convention of ambisonics'):
        to_ambix(fuma, 'n3d')


def test_turning_the_head_is_turning_the_field():
    signal = wave()
    for azimuth, heading in [(0, 90), (120, 45), (-170, -60)]:
        np.testing.assert_allclose(
            turned(encode(signal, azimuth, 20.), heading),
            encode(signal, azimuth - heading, 20.),
            atol=1e-12)


@pytest.fixture(scope='module')
def sphere():
    return spherical_head(RATE)


def low_passed(pair):
    """Below 700 Hz, where velocity decoding gives the right time."""
    from scipy.signal import butter, sosfiltfilt
    return sosfiltfilt(butter(4, 500, fs=RATE, output='sos'), pair)


@pytest.mark.parametrize('azimuth', [30, 60, 90, -45, 150])
def test_a_head_hears_the_time_of_a_source_there(sphere, azimuth):
    signal = wave(2.)
    ring = LoudspeakerRing(sphere)
    direct = np.stack([
        np.convolve(signal, response)[:len(signal)]
        for response in sphere.at(azimuth)
    ])
    for heading in (0, 90, -90):
        heard = ring(turned(encode(signal, azimuth + heading), heading)).T
        times = [
            interaural_time(low_passed(pair), RATE)
            for pair in (direct, heard)
        ]
        assert np.sign(times[0]) == np.sign(azimuth)
        assert times[1] == pytest.approx(times[0], rel=0.1)
        assert np.sign(interaural_level(heard)) == np.sign(azimuth)


def test_front_and_back_differ_with_a_head_alone(sphere):
    signal = wave()
    front, back = encode(signal, 30.), encode(signal, 150.)
    np.testing.assert_allclose(
        cardioid_pair(front), cardioid_pair(back), atol=1e-12)
    ring = LoudspeakerRing(sphere)
    heard, other = ring(front), ring(back)
    assert np.linalg.norm(heard - other) > 0.1 * np.linalg.norm(heard)


@pytest.mark.parametrize('count', [4, 6, 8, 12])
def test_loudspeakers_give_pressure_and_velocity(count):

    class Centre:
        """Two microphones: of pressure, and of velocity to the left."""

        @staticmethod
        def at(azimuth):
            return np.array([[1.], [np.sin(np.radians(azimuth))]])

    signal = wave()
    heard = LoudspeakerRing(Centre, count)(encode(signal, 50.))
    np.testing.assert_allclose(heard[:, 0], signal, atol=1e-12)
    np.testing.assert_allclose(
        heard[:, 1], signal * np.sin(np.radians(50.)), atol=1e-12)


def test_too_few_loudspeakers(sphere):
    with pytest.raises(ValueError, match='at least 4'):
        LoudspeakerRing(sphere, 3)


def test_what_is_no_sound_field():
    with pytest.raises(UnusableFile, match=r'not four channels \(2\)'):
        check_first_order(noise(1, RATE))
    silent_w = noise(1, RATE, 4) * np.float32([0, 1, 1, 1])
    with pytest.raises(UnusableFile, match='the channel W is silent'):
        check_first_order(silent_w)


def test_files_become_four_headings(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    folder = tmp_path / 'in'
    folder.mkdir()
    signal = wave(4.)
    soundfile.write(folder / 'left.wav', encode(signal, 90., 0., 'fuma'), RATE)
    soundfile.write(folder / 'stereo.wav', noise(4, RATE), RATE)
    out = tmp_path / 'out'
    assert main([str(folder), str(out), '--convention', 'fuma']) == 0
    result = BinauralFolder(out)
    assert result.recordings == ('left', ) and result.panorama
    assert result.columns['headings'] == [HEADINGS] * 2
    level = np.sqrt(np.mean(np.square(result.audio('left') / 2**15), axis=0))
    full = np.sqrt(np.mean(signal**2))
    # Heading 0 has it at its left ear, 90 in front, 180 at its right ear.
    np.testing.assert_allclose(
        level / full, [1, 0, .5, .5, 0, 1, .5, .5], atol=1e-3)
    assert 'not four channels (2)' in (out / 'skipped.csv').read_text()
    # With a head of a computed sphere the nearer ear is louder, too.
    assert main([str(folder), str(tmp_path / 'head'), '--convention', 'fuma',
                 '--head', 'sphere']) == 0
    sound = BinauralFolder(tmp_path / 'head').audio('left').astype(float).T
    assert interaural_level(sound[:2]) > 3
    assert interaural_level(sound[4:6]) < -3
    assert abs(interaural_level(sound[2:4])) < 1e-2
    assert abs(interaural_time(sound[6:], RATE)) < 1e-5


def test_clips_of_it_train(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    folder = tmp_path / 'in'
    folder.mkdir()
    soundfile.write(folder / 'left.wav', encode(wave(8.), 90.), RATE)
    assert main([str(folder), str(tmp_path / 'out'), '--convention', 'ambix'
                 ]) == 0
    clips = BinauralClips(str(tmp_path / 'out'), split='',
                          views=('clip', 'rotated', 'shifted'))
    assert len(clips) == 4
    for index in range(40):
        sample = clips[index % 4]
        views, labels = sample['inputs'], sample['data_samples']
        assert {view.shape for view in views.values()} == {(2, 2 * RATE)}
        level = {name: view.double().pow(2).mean(1).sqrt()
                 for name, view in views.items()}
        # The source is at the left ear when the head looks to the front.
        for name, heading in (('clip', labels.heading),
                              ('rotated',
                               labels.heading + labels.rotation_angle)):
            left, right = level[name]
            sine = float((left - right) / (left + right))
            assert sine == pytest.approx(
                np.sin(np.radians(90 - heading)), abs=1e-3)


def test_videos_with_four_channels_are_panoramas(tmp_path):
    pytest.importorskip('av')
    folder = tmp_path / 'in'
    folder.mkdir()
    sound = encode(wave(4.), -90.).astype(np.float32)
    write_video(folder / 'v.mkv', sound, RATE, [np.full((32, 64), 90)] * 40)
    assert main([str(folder), str(tmp_path / 'out'), '--convention',
                 'ambix']) == 0
    result = BinauralFolder(tmp_path / 'out')
    assert result.info['field_of_view'] == 360
    assert len(result) == 2
    assert all(result.path(frame).is_file()
               for frame in result.columns['frame'])
    # The layout of the stream's name did not change the channels' order.
    level = np.abs(result.audio('v').astype(float)).mean(0)
    assert level[1] > 100 and level[0] < 1


def test_another_head_or_grouping_does_not_continue_a_folder(
        tmp_path, capsys):
    from tests.test_datasets.test_simulate_heads import write_sofa
    folder = tmp_path / 'in'
    folder.mkdir()
    stored = encode(noise(3, RATE, 1)[:, 0], 40., 0., 'ambix')
    soundfile = pytest.importorskip('soundfile')
    soundfile.write(folder / 'a.wav', stored, RATE)
    sofa = tmp_path / 'head.sofa'
    write_sofa(sofa, spherical_head(RATE))
    arguments = [str(folder), str(tmp_path / 'out'), '--convention', 'ambix',
                 '--head', str(sofa)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    for more in (['--mirror-back'], ['--source-pattern', '(a)']):
        assert main([*arguments, *more]) == 1
        assert 'was begun with' in capsys.readouterr().err
    write_sofa(sofa, spherical_head(RATE, radius=0.1))
    assert main(arguments) == 1
    assert 'was begun with head_digest' in capsys.readouterr().err


def test_a_head_that_does_not_exist(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / 'out'), '--convention', 'fuma',
                 '--head', str(tmp_path / 'no.sofa')]) == 1
    assert 'no.sofa' in capsys.readouterr().err


@pytest.mark.skipif(not (DATA / 'binaural/ambisonic').is_dir(),
                    reason='needs the recordings of data/binaural/ambisonic')
def test_real_recordings(tmp_path):
    soundfile = pytest.importorskip('soundfile')
    folder = DATA / 'binaural/ambisonic'
    arguments = [str(folder), str(tmp_path / 'a'), '--convention', 'fuma',
                 '--sample-rate', '44100']
    assert main(arguments) == 0
    result = BinauralFolder(tmp_path / 'a')
    assert result.recordings == ('BF_rec1', 'BF_rec2', 'BF_rec3')
    stored, _ = soundfile.read(folder / 'BF_rec2.ogg')
    w, x, y, _ = stored.T
    sound = result.audio('BF_rec2') / 2**15
    np.testing.assert_allclose(
        sound[:, 0], (np.sqrt(2) * w + y) / 2, atol=2**-15)
    np.testing.assert_allclose(
        sound[:, 2], (np.sqrt(2) * w - x) / 2, atol=2**-15)
    # The head turned about hears the same with ears exchanged.
    np.testing.assert_array_equal(sound[:, :2], sound[:, 5:3:-1])
    before = tree(tmp_path / 'a')
    assert main(arguments) == 0
    assert tree(tmp_path / 'a') == before
