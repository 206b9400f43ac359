# Copyright (c) mmmultissl contributors. All rights reserved.
"""Whether two channels can be two ears, and what else may be wrong."""
from typing import Tuple

import numpy as np

from mmmultissl.datasets.binaural.convert.unusable import UnusableFile

# Quieter than the least significant bits of 16: nothing was recorded.
SILENCE = 1e-4
# Level of the difference of the channels below that of their sum, in dB, at
# which they are one channel written twice (lossy codecs make them differ by
# about this much).
DUAL_MONO_DB = -40.


def rms(samples: np.ndarray) -> float:
    """Root mean square, of all channels together.

    Args:
        samples (np.ndarray): Of any shape, float.

    Returns:
        float: The level; 1 is that of a square wave at full scale.
    """
    flat = samples.ravel()
    return float(np.sqrt(np.dot(flat, flat) / max(1, flat.size)))


def side_to_mid_db(samples: np.ndarray) -> float:
    """Level of left minus right beside that of left plus right.

    Args:
        samples (np.ndarray): Of shape (samples, 2), float.

    Returns:
        float: In dB; minus infinity for equal channels, 0 where one of them
        is silent.
    """
    left, right = samples.T
    side, mid = rms(left - right), rms(left + right)
    if side == 0:
        return -np.inf
    return float(20 * np.log10(side / mid)) if mid else np.inf


def check_samples(samples: np.ndarray) -> None:
    """Refuse what no channel layout can save.

    Args:
        samples (np.ndarray): Of shape (samples, channels), float.

    Raises:
        UnusableFile: If samples are not finite or all is silent.
    """
    bad = np.count_nonzero(~np.isfinite(samples))
    if bad:
        raise UnusableFile('NaN or infinite samples',
                           f'{bad} of {samples.size}')
    if rms(samples) < SILENCE:
        raise UnusableFile('silent')


def check_stereo(samples: np.ndarray) -> None:
    """Refuse what has no two different ears.

    Args:
        samples (np.ndarray): Of shape (samples, channels), float.

    Raises:
        UnusableFile: If there is one channel or more than two, if the two
            are equal or each other's negative (their difference or sum 40 dB
            below the other), or if one is silent.
    """
    channels = samples.shape[1]
    if channels == 1:
        raise UnusableFile('one channel')
    if channels > 2:
        raise UnusableFile('more than two channels', f'{channels}')
    check_samples(samples)
    level = side_to_mid_db(samples)
    if level <= DUAL_MONO_DB:
        raise UnusableFile('two equal channels',
                           f'their difference is at {level:.1f} dB')
    if level >= -DUAL_MONO_DB:
        raise UnusableFile('two equal channels of opposite sign',
                           f'their sum is at {-level:.1f} dB')
    if min(rms(samples[:, 0]), rms(samples[:, 1])) < SILENCE:
        raise UnusableFile('one of the two channels is silent')


def clipped_share(samples: np.ndarray) -> float:
    """Share of the samples that were cut off at full scale.

    Args:
        samples (np.ndarray): Float, full scale at 1.

    Returns:
        float: From 0 to 1; 0 where a sample is beyond full scale, so that
        nothing was cut off there.
    """
    # The largest number of 16 bits is one step below 1.
    sizes = np.abs(samples)
    if sizes.max(initial=0.) > 1:
        return 0.
    return float(np.mean(sizes >= 1 - 1 / 2**15))


def to_int16(samples: np.ndarray) -> Tuple[np.ndarray, float]:
    """Round to 16 bits; what is beyond full scale is made quieter as a whole.

    One factor serves all channels, so that differences of level between
    ears stay.

    Args:
        samples (np.ndarray): Of shape (samples, channels), float.

    Returns:
        tuple[np.ndarray, float]: int16 of the same shape, and the factor; 1
        unless a sample exceeds full scale.
    """
    peak = float(np.abs(samples).max(initial=0.))
    limit = (2**15 - 1) / 2**15
    # Up to 1, files of 16 bits come out bit for bit.
    factor = limit / peak if peak > 1 else 1.
    scaled = np.rint(samples * np.float32(factor * 2**15))
    return np.clip(scaled, -2**15, 2**15 - 1).astype(np.int16), factor
