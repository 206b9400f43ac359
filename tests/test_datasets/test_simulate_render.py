# Copyright (c) mmmultissl contributors. All rights reserved.
"""What reaches the ears: against plain convolution and the responses."""
from pathlib import Path

import numpy as np
import pytest

from mmmultissl.datasets.binaural.simulate.cues import (interaural_level,
                                                        interaural_time)
from mmmultissl.datasets.binaural.simulate.render import (HeadRenderer,
                                                          faded_sections,
                                                          nearest_direction)
from mmmultissl.datasets.binaural.simulate.room import Room, RoomRenderer
from mmmultissl.datasets.binaural.simulate.sofa import read_sofa
from mmmultissl.datasets.binaural.simulate.spherical_head import spherical_head

KEMAR = (Path(__file__).parents[2] / 'data' / 'binaural' / 'hrtf' /
         'mit_kemar_normal_pinna.sofa')


@pytest.fixture(scope='module')
def renderer():
    return HeadRenderer(spherical_head(16000), 16000)


@pytest.fixture(scope='module')
def noise():
    return np.random.default_rng(0).standard_normal(20001, np.float32)


def test_still_is_convolution(renderer, noise):
    out = renderer.still(noise, 37.)
    assert out.shape == (8, len(noise)) and out.dtype == np.float32
    for pair, heading in enumerate((0, 90, 180, 270)):
        for ear, response in enumerate(renderer.head.at(37. - heading)):
            plain = np.convolve(noise.astype(float), response)[:len(noise)]
            assert np.abs(out[2 * pair + ear] - plain).max() < 1e-4


def test_headings_are_directions_bit_for_bit(renderer, noise):
    for azimuth in (0., 37., -120.):
        turned = renderer.still(noise, azimuth)
        for pair, heading in enumerate((0, 90, 180, 270)):
            ahead = renderer.still(noise, azimuth - heading)[:2]
            assert np.array_equal(turned[2 * pair:2 * pair + 2], ahead)
    azimuths = 15. * renderer.times(len(noise))
    turned = renderer.moving(noise, azimuths)
    ahead = renderer.moving(noise, azimuths - 90.)[:2]
    assert np.array_equal(turned[2:4], ahead)


def test_left_is_left_and_behind_is_behind(renderer, noise):
    out = renderer.still(noise, 60.)
    assert interaural_level(out[:2]) > 5
    assert interaural_time(out[:2], 16000) > 3e-4
    # From behind, the same source is on the right.
    assert interaural_level(out[4:6]) < -5
    assert interaural_time(out[4:6], 16000) < -3e-4


def test_moving_without_moving_is_still(renderer, noise):
    azimuths = np.full(len(renderer.times(len(noise))), 37.)
    assert np.abs(
        renderer.moving(noise, azimuths) -
        renderer.still(noise, 37.)).max() < 1e-4


def test_moving_passes_through_its_directions(renderer, noise):
    azimuths = np.linspace(-80., 80., len(renderer.times(len(noise))))
    out = renderer.moving(noise, azimuths)[:2]
    assert interaural_level(out[:, :3000]) < -3
    assert interaural_level(out[:, -3000:]) > 3
    middle = out[:, 9500:10500]
    assert abs(interaural_time(middle, 16000)) < 1e-4


def test_faded_sections_add_up(noise):
    hop = 321
    sections = faded_sections(noise, hop)
    total = np.zeros((len(sections) + 1) * hop)
    for index, section in enumerate(sections):
        total[index * hop:(index + 2) * hop] += section
    assert np.allclose(total[hop:hop + len(noise)], noise, atol=1e-6)


def test_several_sources_add_up(renderer, noise):
    pair = np.stack([noise, noise[::-1]])
    both = renderer.stills(pair, [20., -100.])
    apart = renderer.still(pair[0], 20.) + renderer.still(pair[1], -100.)
    assert np.abs(both - apart).max() < 1e-4


def test_halves_of_degrees_round_to_the_left():
    assert nearest_direction([-7.5, 7.5, 7.49, -0.5]).tolist() == [
        353, 8, 7, 0]
    with pytest.raises(ValueError, match='whole degrees'):
        HeadRenderer(spherical_head(16000), 16000, (0., 22.5))


@pytest.mark.skipif(not KEMAR.is_file(), reason=f'{KEMAR} is not there')
def test_rendered_kemar_has_the_measured_differences():
    head = read_sofa(KEMAR)
    renderer = HeadRenderer(head, 44100)
    noise = np.random.default_rng(0).standard_normal(88200, np.float32)
    for azimuth in (-150., -90., -30., 0., 45., 90., 135.):
        out = renderer.still(noise, azimuth)[:2]
        measured = head.at(azimuth)
        # A sixteenth of a sample is 1.4 microseconds.
        assert interaural_time(out, 44100) == pytest.approx(
            interaural_time(measured, 44100), abs=3e-6)
        assert interaural_level(out) == pytest.approx(
            interaural_level(measured), abs=.2)
    out = renderer.still(noise, 90.)[:2]
    assert interaural_time(out, 44100) == pytest.approx(726e-6, abs=4e-6)
    assert interaural_level(out) == pytest.approx(11.8, abs=.2)


def test_room_adds_what_comes_later(renderer, noise):
    pytest.importorskip('pyroomacoustics')
    room = RoomRenderer(
        renderer, Room((5., 4., 3.), (2.4, 2.1, 1.5), .25, 1.2), 4)
    echo = room.reflections(90.)
    # The wall behind the source: its image is 4.0 - 3.3 = 0.7 m further on.
    # The floor's image is sqrt(1.2^2 + 3^2) away, the left wall's 2.6 m.
    first = (2.6 - 1.2) / 343 * 16000
    onset = np.flatnonzero(np.abs(echo[0]) > 1e-3)[0]
    direct = np.flatnonzero(np.abs(renderer.responses[90, 0]) > 1e-3)[0]
    assert onset - direct == pytest.approx(first, abs=3)
    # That wall is on the left, too.
    early = echo[:2, :onset + 40]
    assert interaural_level(early) > 3
    # It dies away, and heading 90 hears direction 0.
    power = np.square(echo).sum(0)
    assert power[-800:].sum() < .02 * power.sum()
    out = room.still(noise, 90.)
    reverberant = out - renderer.still(noise, 90.)
    plain = np.convolve(noise.astype(float), echo[3])[:len(noise)]
    assert np.abs(reverberant[3] - plain).max() < 1e-3
    azimuths = np.full(len(renderer.times(len(noise))), 88.)
    assert np.abs(room.moving(noise, azimuths) -
                  room.still(noise, 88.)).max() < 1e-3
    with pytest.raises(ValueError, match='smaller distance'):
        RoomRenderer(renderer, room.room._replace(distance=3.))
    with pytest.raises(ValueError, match='reverberation'):
        RoomRenderer(renderer, room.room._replace(reverberation=.01))
