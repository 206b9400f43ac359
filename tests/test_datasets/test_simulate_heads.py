# Copyright (c) mmmultissl contributors. All rights reserved.
"""Heads: SOFA files of either sign, interpolation, the rigid sphere."""
from pathlib import Path

import h5py
import numpy as np
import pytest

from mmmultissl.datasets.binaural.simulate.cues import (delay,
                                                        interaural_level,
                                                        interaural_time)
from mmmultissl.datasets.binaural.simulate.head import Head, wrap
from mmmultissl.datasets.binaural.simulate.sofa import read_sofa
from mmmultissl.datasets.binaural.simulate.spherical_head import (
    sphere_transfer, spherical_head)

DATA = Path(__file__).parents[2] / 'data' / 'binaural'
KEMAR = DATA / 'hrtf' / 'mit_kemar_normal_pinna.sofa'
IOSR = DATA / 'brir' / 'UniS_Anechoic_BRIR_16k.sofa'


def write_sofa(path, head, sign=1, swap=False, view=0., spoil=None):
    """A SOFA file of a head: sign of azimuths, order of ears, listener."""
    ears = [[0, .09, 0], [0, -.09, 0]]
    responses = head.responses
    if swap:
        ears, responses = ears[::-1], responses[:, ::-1]
    places = np.stack([
        sign * head.azimuths % 360. + view,
        np.zeros(len(head.azimuths)),
        np.full(len(head.azimuths), 1.4)
    ], 1)
    with h5py.File(path, 'w') as file:
        file.attrs['SOFAConventions'] = np.bytes_('SimpleFreeFieldHRIR')
        file.attrs['DataType'] = np.bytes_('FIR')
        file['Data.IR'] = responses
        file['Data.SamplingRate'] = [float(head.sample_rate)]
        file['Data.Delay'] = np.zeros((1, 2))
        file['SourcePosition'] = places
        file['SourcePosition'].attrs['Type'] = np.bytes_('spherical')
        turn = np.radians(view)
        file['ListenerView'] = [[np.cos(turn), np.sin(turn), 0.]]
        file['ReceiverPosition'] = np.array(ears)[..., None]
        if spoil is not None:
            spoil(file)


@pytest.fixture(scope='module')
def sphere():
    return spherical_head(16000)


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('swap', [False, True])
@pytest.mark.parametrize('view', [0., 90.])
def test_sofa_left_is_where_sound_says(tmp_path, sphere, sign, swap, view):
    write_sofa(tmp_path / 'head.sofa', sphere, sign, swap, sign * view)
    read = read_sofa(tmp_path / 'head.sofa')
    assert np.allclose(read.azimuths, sphere.azimuths)
    assert np.array_equal(read.responses, sphere.responses)


def test_sofa_without_sides_is_refused(tmp_path, sphere):
    both = sphere.responses.mean(1, keepdims=True).repeat(2, 1)
    head = Head(sphere.azimuths, both, 16000, 'deaf')
    write_sofa(tmp_path / 'head.sofa', head)
    with pytest.raises(ValueError, match='do not say which side is left'):
        read_sofa(tmp_path / 'head.sofa')


def test_sofa_of_another_convention_is_refused(tmp_path, sphere):

    def spoil(file):
        file.attrs['SOFAConventions'] = np.bytes_('SingleRoomSRIR')

    write_sofa(tmp_path / 'head.sofa', sphere, spoil=spoil)
    with pytest.raises(ValueError, match='convention SingleRoomSRIR'):
        read_sofa(tmp_path / 'head.sofa')
    (tmp_path / 'text.sofa').write_text('no such thing')
    with pytest.raises(ValueError, match='cannot be read as a SOFA file'):
        read_sofa(tmp_path / 'text.sofa')
    with pytest.raises(FileNotFoundError, match='There is no SOFA file'):
        read_sofa(tmp_path / 'none.sofa')


def _fill(name, value, where=...):

    def spoil(file):
        file[name][where] = value

    return spoil


def _replace(name, values):

    def spoil(file):
        attrs = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attrs)

    return spoil


@pytest.mark.parametrize('spoil, words', [
    (_fill('Data.IR', np.nan), 'not finite'),
    (_fill('Data.IR', np.inf, (7, 1, 3)), 'not finite at 220 degrees'),
    (_fill('Data.IR', 0.), 'a silent ear'),
    (_fill('Data.IR', 0., (7, 1)), 'a silent ear at 220 degrees'),
    (_fill('SourcePosition', np.nan, 3), 'not finite'),
    (_fill('SourcePosition', 45., (slice(None), 1)), 'no direction within'),
    (_replace('SourcePosition', np.zeros((5, 3))), 'places for 72 responses'),
    (_replace('SourcePosition', np.zeros((72, 2))), 'places for 72 responses'),
    (_fill('Data.Delay', np.nan), 'delays'),
    (_fill('Data.Delay', 1e12), 'delays'),
    (_replace('Data.Delay', np.zeros((5, 2))), 'delays'),
    (_fill('Data.SamplingRate', np.nan), 'the sampling rate nan'),
    (_replace('ReceiverPosition', np.zeros(5)), 'one ear on each side'),
    (_fill('ReceiverPosition', np.nan), 'one ear on each side'),
])
def test_sofa_that_is_worthless_is_named(tmp_path, sphere, spoil, words):
    write_sofa(tmp_path / 'head.sofa', sphere, spoil=spoil)
    with pytest.raises(ValueError, match='head.sofa') as caught:
        read_sofa(tmp_path / 'head.sofa')
    said = str(caught.value)
    assert words in said and '\n' not in said and said.endswith('.')


def test_sofa_is_told_by_its_content(tmp_path, sphere):
    write_sofa(tmp_path / 'one.sofa', sphere)
    (tmp_path / 'two.sofa').write_bytes((tmp_path / 'one.sofa').read_bytes())
    louder = Head(sphere.azimuths, 2 * sphere.responses, 16000, 'louder')
    write_sofa(tmp_path / 'three.sofa', louder)
    one, two, three = (
        read_sofa(tmp_path / f'{name}.sofa')
        for name in ('one', 'two', 'three'))
    assert one.digest == two.digest != three.digest
    assert len(one.digest) == 16 and sphere.digest is None
    assert one.with_mirrored_back().digest == one.digest
    assert one.resampled(8000).digest == one.digest


@pytest.mark.parametrize('radius', [0., -1., .02, .4, np.nan, 1e9])
def test_spheres_that_are_no_heads_are_refused(radius):
    with pytest.raises(ValueError, match='0.03 to 0.3 m'):
        spherical_head(16000, radius)


@pytest.mark.parametrize('rate', [-1, 0, 100])
def test_spheres_need_a_sampling_rate(rate):
    with pytest.raises(ValueError, match='1000 Hz or more'):
        spherical_head(rate)


def test_sofa_takes_the_elevation_nearest_to_the_horizon(tmp_path, sphere):

    def spoil(file):
        # Louder above and below, and the level ones neither first nor last.
        places, responses = file['SourcePosition'][:], file['Data.IR'][:]
        del file['SourcePosition'], file['Data.IR']
        heights = np.repeat([-2., 0., 2.], len(places))
        places = np.tile(places, (3, 1))
        places[:, 1] = heights
        file['SourcePosition'] = places
        file['SourcePosition'].attrs['Type'] = np.bytes_('spherical')
        file['Data.IR'] = np.concatenate(
            [2 * responses, responses, 3 * responses])

    write_sofa(tmp_path / 'head.sofa', sphere, spoil=spoil)
    read = read_sofa(tmp_path / 'head.sofa')
    assert np.array_equal(read.azimuths, sphere.azimuths)
    assert np.array_equal(read.responses, sphere.responses)


def test_sofa_delays_are_applied(tmp_path, sphere):

    def spoil(file):
        file['Data.Delay'][...] = [[3., 3.]]

    write_sofa(tmp_path / 'head.sofa', sphere, spoil=spoil)
    read = read_sofa(tmp_path / 'head.sofa')
    late = delay(sphere.at(30.)[0], read.at(30.)[0], 16000)
    assert late * 16000 == pytest.approx(3., abs=.1)


@pytest.mark.skipif(not KEMAR.is_file(), reason=f'{KEMAR} is not there')
def test_kemar_positive_is_left():
    head = read_sofa(KEMAR)
    with h5py.File(KEMAR) as file:
        places = file['SourcePosition'][:]
        row = np.flatnonzero((places[:, 0] == 90) & (places[:, 1] == 0))[0]
        assert np.array_equal(head.at(90.), file['Data.IR'][row])
    assert interaural_time(head.at(90.), 44100) == pytest.approx(
        726e-6, abs=4e-6)
    assert interaural_level(head.at(90.)) == pytest.approx(11.8, abs=.05)
    assert read_sofa(KEMAR, mirror_back=True).name == head.name


@pytest.mark.skipif(not IOSR.is_file(), reason=f'{IOSR} is not there')
def test_iosr_positive_is_right():
    head = read_sofa(IOSR)
    with h5py.File(IOSR) as file:
        places = file['SourcePosition'][:]
        row = np.flatnonzero(places[:, 0] == 270)[0]
        assert np.array_equal(head.at(90.), file['Data.IR'][row])
    assert interaural_time(head.at(60.), 16000) > 300e-6
    assert interaural_level(head.at(60.)) > 6
    with pytest.raises(ValueError, match='--mirror-back'):
        head.at(150.)
    mirrored = read_sofa(IOSR, mirror_back=True)
    assert np.array_equal(mirrored.at(150.), head.at(30.))


def test_interpolation_keeps_measured_and_finds_those_between():
    fine = spherical_head(48000, spacing=5.)
    coarse = Head(fine.azimuths[::2], fine.responses[::2], 48000, 'coarse')
    for azimuth in coarse.azimuths[::5]:
        assert np.array_equal(coarse.at(azimuth), fine.at(azimuth))
    errors, naive = [], []
    for azimuth in fine.azimuths[1::2]:
        true = fine.at(azimuth)
        size = np.linalg.norm(true)
        errors.append(np.linalg.norm(coarse.at(azimuth) - true) / size)
        mean = (fine.at(azimuth - 5.) + fine.at(azimuth + 5.)) / 2
        naive.append(np.linalg.norm(mean - true) / size)
    # A tenth of the response over ten degrees at 48 kHz.
    assert np.mean(errors) < .1 and np.mean(errors) < np.mean(naive) / 2


def test_resampled_keeps_level_and_time():
    head = spherical_head(48000)
    low = head.resampled(16000)
    # A tone well below both limits is as loud at either rate.
    for rate, at in ((48000, head.at(40.)), (16000, low.at(40.))):
        phase = np.exp(-2j * np.pi * 1000 * np.arange(at.shape[1]) / rate)
        gain = np.abs(at @ phase)
        if rate == 48000:
            reference = gain
    # Responses are samples of sound per sample of click.
    assert gain == pytest.approx(reference, rel=.02)
    assert interaural_time(low.at(40.), 16000) == pytest.approx(
        interaural_time(head.at(40.), 48000), abs=25e-6)


def test_sphere_series_has_its_limits():
    # Far below the size of the head, the sphere is not there.
    low = sphere_transfer(np.array([1e-3]), np.array([0., 90., 180.]))
    assert low == pytest.approx(np.ones((3, 1)), abs=1e-4)
    # Far above, pressure doubles at the point that faces the source.
    high = sphere_transfer(np.array([20000.]), np.array([0.]))
    assert np.abs(high)[0, 0] == pytest.approx(2., abs=.05)
    # Kuhn's limit for low frequencies: 3 a / c sin(azimuth).
    near, far = sphere_transfer(np.array([100.]), np.array([60., 120.]))[:, 0]
    late = np.angle(near / far) / (2 * np.pi * 100)
    assert late == pytest.approx(3 * .0875 / 343 * np.cos(np.radians(60)),
                                 rel=.02)


def test_sphere_time_is_near_woodworth():
    head = spherical_head(48000, ears=90.)
    for azimuth in (15., 30., 45.):
        turn = np.radians(azimuth)
        ray = .0875 / 343 * (turn + np.sin(turn))
        assert interaural_time(head.at(azimuth), 48000) == pytest.approx(
            ray, rel=.12)
        assert interaural_level(head.at(azimuth)) > 2
    assert abs(interaural_time(head.at(0.), 48000)) < 1e-9


def test_cues_of_made_signals():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(4000)
    pair = np.stack([noise[10:], noise[:-10] / 2])  # right is later, softer
    assert interaural_time(pair, 16000) == pytest.approx(10 / 16000)
    assert interaural_level(pair) == pytest.approx(6.02, abs=.05)
    with pytest.raises(ValueError, match='one of the two is silent'):
        interaural_level(np.stack([noise, 0 * noise]))


def test_wrap_and_wrong_heads():
    assert wrap([180., -180., 190., -190., 540.]).tolist() == [
        180., 180., -170., 170., 180.]
    with pytest.raises(ValueError, match='each given once'):
        Head([0., 360.], np.ones((2, 2, 4)), 16000, 'twice')
    with pytest.raises(ValueError, match='not finite'):
        Head([0., 90.], np.full((2, 2, 4), np.nan), 16000, 'broken')
