# Copyright (c) mmmultissl contributors. All rights reserved.
"""The sound of any file, by libsndfile or, of videos, by PyAV."""
from pathlib import Path

from mmmultissl.datasets.binaural.convert.media import Sound, read_sound
from mmmultissl.datasets.binaural.convert.unusable import UnusableFile
from mmmultissl.datasets.binaural.whole_file import find_fault

# What libsndfile reads; the others need PyAV.
_SNDFILE_SUFFIXES = ('.wav', '.flac', '.ogg', '.opus', '.mp3', '.aif', '.aiff',
                     '.w64', '.rf64')


def read_any_sound(path: Path) -> Sound:
    """Read the sound of a video or an audio file as a whole.

    Args:
        path (Path): The file.

    Returns:
        Sound: All channels at the file's own rate.

    Raises:
        UnusableFile: If there is no sound in it, it is damaged or cut off.
        ImportError: If soundfile or, for videos, PyAV is not installed.
    """
    if path.suffix.lower() not in _SNDFILE_SUFFIXES:
        return read_sound(path)
    try:
        import soundfile
    except ImportError:
        raise ImportError('Reading sound files needs soundfile; install it '
                          'with: pip install soundfile') from None
    fault = find_fault(path)
    if fault:
        raise UnusableFile(*fault)
    try:
        samples, rate = soundfile.read(
            str(path), dtype='float32', always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnusableFile('cannot be decoded', error.error_string) from error
    if len(samples) == 0:
        raise UnusableFile('no sound', 'an empty file')
    return Sound(samples, rate, 0.)
