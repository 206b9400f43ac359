# Copyright (c) mmmultissl contributors. All rights reserved.
"""Reading sound files, and bringing them to one sampling rate."""
from math import gcd
from pathlib import Path
from typing import Dict, Tuple, Union

import numpy as np
from mmengine.logging import print_log

from mmmultissl.datasets.binaural.whole_file import find_fault
from mmmultissl.datasets.unreadable import UnreadableSampleError


def read_audio(path: Union[str, Path]) -> Tuple[np.ndarray, int]:
    """Read a sound file as a whole, by libsndfile.

    Args:
        path (str | Path): A wav, flac, ogg, aiff or mp3 file, among others.

    Returns:
        tuple[np.ndarray, int]: float32 of shape (samples, channels), full
        scale at 1, and the samples per second.

    Raises:
        FileNotFoundError: If there is no such file.
        UnreadableSampleError: If it is empty, cut off, damaged, of no known
            format, or holds NaN or infinite samples.
        ImportError: If soundfile is not installed.
    """
    try:
        import soundfile
    except ImportError:
        raise ImportError('Reading sound files needs soundfile; install it '
                          'with: pip install soundfile') from None
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'The sound file {path} does not exist; '
                                'correct the path.')
    fault = find_fault(path)
    if fault:
        raise UnreadableSampleError(
            f'The sound file {path} is {fault.reason} ({fault.detail}); '
            'replace or remove it.')
    try:
        samples, rate = soundfile.read(
            str(path), dtype='float32', always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UnreadableSampleError(
            f'The sound file {path} cannot be read ({error.error_string}); '
            'replace or remove it.') from error
    if len(samples) == 0:
        raise UnreadableSampleError(f'The sound file {path} has no samples; '
                                    'replace or remove it.')
    bad = np.count_nonzero(~np.isfinite(samples))
    if bad:
        raise UnreadableSampleError(
            f'The sound file {path} has {bad} NaN or infinite samples; '
            'replace or remove it.')
    return samples, rate


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Bring sound to another rate, every channel by the same filter.

    So differences of time and level between ears stay. SciPy's polyphase
    filter with its Kaiser window (beta 5).

    Args:
        samples (np.ndarray): Float, (samples, channels).
        rate (int): Samples per second.
        new_rate (int): Those of the result.

    Returns:
        np.ndarray: float32, (ceil(samples * new_rate / rate), channels); the
        very array where the rates are equal.
    """
    if rate == new_rate:
        return samples
    from scipy.signal import resample_poly
    common = gcd(rate, new_rate)
    return resample_poly(
        samples, new_rate // common, rate // common,
        axis=0).astype(np.float32)


class Resampler:
    """Brings the files of a set to one rate, and says so once per rate.

    Args:
        rate (int): Samples per second of the result.

    Attributes:
        counts (dict[int, int]): How many files came at each rate.

    Examples:
        >>> import numpy as np
        >>> to_16k = Resampler(16000)
        >>> to_16k(np.zeros((48000, 2), np.float32), 48000).shape
        (16000, 2)
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.counts: Dict[int, int] = {}

    def __call__(self, samples: np.ndarray, rate: int) -> np.ndarray:
        """Resample one file.

        Args:
            samples (np.ndarray): Float, (samples, channels).
            rate (int): Its samples per second.

        Returns:
            np.ndarray: float32, (samples, channels).
        """
        if rate not in self.counts and rate != self.rate:
            print_log(
                f'Files at {rate} Hz are resampled to {self.rate} Hz.',
                logger='current')
        self.counts[rate] = self.counts.get(rate, 0) + 1
        return resample(samples, rate, self.rate)
