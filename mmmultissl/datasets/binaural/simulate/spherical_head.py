# Copyright (c) mmmultissl contributors. All rights reserved.
"""A rigid sphere as a head: needs no measurement and no file."""
import numpy as np
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from mmmultissl.datasets.binaural.simulate.head import Head

_SPEED_OF_SOUND = 343.
# The ear that faces the source hears it before the centre would; responses
# begin this much earlier than at the centre, in seconds.
_LEAD = 1e-3
# A larger sphere's ear would be ahead of that, a smaller one's have no cues.
_SMALLEST, _LARGEST = 0.03, 0.3
# Below this many Hz the responses have no samples.
_SLOWEST = 1000


def sphere_transfer(frequencies: np.ndarray,
                    incidence: np.ndarray,
                    radius: float = 0.0875) -> np.ndarray:
    """Sound pressure on a rigid sphere, of that without it at its centre.

    Rayleigh's series for a plane wave, as R. O. Duda and W. L. Martens give
    it (J. Acoust. Soc. Am. 104, 1998, their equation for an infinitely
    distant source).

    Args:
        frequencies (np.ndarray): In Hz, shape (F, ).
        incidence (np.ndarray): Angle between the point on the sphere and the
            direction of the source, in degrees, shape (D, ).
        radius (float): In metres. Defaults to 0.0875, the usual head's.

    Returns:
        np.ndarray: Complex, shape (D, F), for time going as exp(+iwt).
    """
    size = 2 * np.pi * np.asarray(frequencies, float) * radius
    size = np.maximum(size / _SPEED_OF_SOUND, 1e-6)  # 1 at frequency 0
    # Terms fall off faster than any power once the order exceeds the size.
    orders = np.arange(int(np.max(size) * 1.5) + 20)[:, None]
    with np.errstate(over='ignore', invalid='ignore'):
        slope = (spherical_jn(orders, size, True) -
                 1j * spherical_yn(orders, size, True))
        terms = (1j)**(orders - 1.) * (2 * orders + 1) / slope
    # Slopes beyond the largest number belong to terms that vanish.
    terms[~np.isfinite(slope) | ~np.isfinite(terms)] = 0.
    lobes = eval_legendre(orders.T, np.cos(np.radians(incidence))[:, None])
    return (lobes @ terms) / size**2


def spherical_head(sample_rate: int,
                   radius: float = 0.0875,
                   ears: float = 100.,
                   spacing: float = 5.) -> Head:
    """Make the responses of a sphere with two ears.

    Args:
        sample_rate (int): In Hz, 1000 or more.
        radius (float): In metres, 0.03 to 0.3. Defaults to 0.0875.
        ears (float): Azimuth of the left ear, in degrees; the right one
            mirrors it. Defaults to 100, a little behind, as a head's are
            (our choice): with 90 front and back would sound the same.
        spacing (float): Degrees from one direction to the next. Defaults to
            5.

    Returns:
        Head: With directions all around, pressure relative to that at the
        place of the head's centre.

    Raises:
        ValueError: If the radius or the sampling rate is out of range.
    """
    if not _SMALLEST <= radius <= _LARGEST:
        raise ValueError(f'A sphere as a head has a radius of {_SMALLEST} to '
                         f'{_LARGEST} m, but got {radius:g}.')
    if not sample_rate >= _SLOWEST:
        raise ValueError(f'A sphere as a head needs a sampling rate of '
                         f'{_SLOWEST} Hz or more, but got {sample_rate:g}.')
    azimuths = np.arange(-180., 180., spacing)
    taps = int(4e-3 * sample_rate) // 2 * 2
    frequencies = np.fft.rfftfreq(taps, 1 / sample_rate)
    delay = np.exp(-2j * np.pi * frequencies * _LEAD)
    responses = []
    for ear in (ears, -ears):
        incidence = np.abs((azimuths - ear + 180.) % 360. - 180.)
        transfer = sphere_transfer(frequencies, incidence, radius) * delay
        responses.append(np.fft.irfft(transfer, taps))
    return Head(azimuths, np.stack(responses, 1), sample_rate,
                f'sphere:{radius:g}')
