# Copyright (c) mmmultissl contributors. All rights reserved.
"""What libsndfile reads without a word although a part is missing."""
import numpy as np
import pytest

from mmmultissl.datasets import UnreadableSampleError
from mmmultissl.datasets.binaural.audio_io import read_audio
from mmmultissl.datasets.binaural.whole_file import find_fault
from tests.test_datasets.media_files import noise

soundfile = pytest.importorskip('soundfile')
RATE = 48000
KINDS = {
    'a.wav': ('WAV', 'PCM_16'),
    'a.rf64': ('RF64', 'PCM_16'),
    'a.w64': ('W64', 'PCM_16'),
    'a.aiff': ('AIFF', 'PCM_16'),
    'a.ogg': ('OGG', 'VORBIS'),
    'a.opus': ('OGG', 'OPUS'),
    'a.mp3': ('MP3', 'MPEG_LAYER_III'),
}


@pytest.fixture(params=KINDS)
def sound(tmp_path, request):
    kind, subtype = KINDS[request.param]
    if kind not in soundfile.available_formats():
        pytest.skip(f'this libsndfile does not write {kind}')
    path = tmp_path / request.param
    soundfile.write(path, noise(3, RATE), RATE, format=kind, subtype=subtype)
    return path


def test_whole_files_are_whole(sound):
    assert find_fault(sound) is None
    samples, rate = read_audio(sound)
    assert rate == RATE and abs(len(samples) - 3 * RATE) < 0.1 * RATE


@pytest.mark.parametrize('part', [0.3, 0.5, 0.99])
def test_what_was_cut_off_is_seen(sound, part):
    content = sound.read_bytes()
    sound.write_bytes(content[:int(part * len(content))])
    assert find_fault(sound).reason == 'truncated'
    with pytest.raises(UnreadableSampleError, match=f'{sound.name} is '
                       r'truncated \(.*\); replace or remove it'):
        read_audio(sound)


@pytest.mark.parametrize('name', ['a.ogg', 'a.opus'])
def test_a_damaged_page_is_no_shift_of_what_follows(tmp_path, name):
    kind, subtype = KINDS[name]
    path = tmp_path / name
    soundfile.write(path, noise(6, RATE), RATE, format=kind, subtype=subtype)
    content = path.read_bytes()
    middle = len(content) // 2
    # The codec reads on behind a single wrong byte.
    for damage in (b'\0' * 2000, bytes([content[middle] ^ 1])):
        path.write_bytes(content[:middle] + damage +
                         content[middle + len(damage):])
        assert find_fault(path).reason == 'damaged'
    # A page that was lost leaves whole pages.
    pages = content.split(b'OggS')
    path.write_bytes(b'OggS'.join(pages[:-2] + pages[-1:]))
    assert find_fault(path).reason == 'damaged'


def test_lengths_that_writers_did_not_know(tmp_path):
    path = tmp_path / 'pipe.wav'
    soundfile.write(path, noise(1, RATE), RATE)
    content = path.read_bytes()
    for unknown in (b'\0\0\0\0', b'\xff\xff\xff\xff'):
        path.write_bytes(content[:4] + unknown + content[8:])
        assert find_fault(path) is None


@pytest.mark.parametrize('content', [b'', b'R', b'RIFF', b'RF64', b'ID3',
                                     b'\xff\xfb', b'no sound at all' * 9])
def test_nothing_is_said_of_what_is_not_known(tmp_path, content):
    path = tmp_path / 'other'
    path.write_bytes(content)
    assert find_fault(path) is None


def test_the_checksum_is_that_of_the_specification():
    from mmmultissl.datasets.binaural.whole_file import _ogg_checksum
    draws = np.random.RandomState(0).bytes(50)
    register = 0
    # RFC 3533: polynomial 0x04c11db7, from 0, bit by bit.
    for byte in draws:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1) ^ (
                0x04c11db7 if register >> 31 else 0)
            register &= 0xffffffff
    assert _ogg_checksum(draws) == register
