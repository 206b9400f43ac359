# Copyright (c) mmmultissl contributors. All rights reserved.
"""A head: what each ear gets of a click from each direction around it."""
from typing import Optional, Tuple

import numpy as np
from scipy import fft

from mmmultissl.datasets.binaural.audio_io import resample
from mmmultissl.datasets.binaural.simulate.cues import delay

# Between directions further apart than this nothing is interpolated.
_WIDEST = 30.


def wrap(azimuth: np.ndarray) -> np.ndarray:
    """Bring azimuths to (-180, 180].

    Args:
        azimuth (np.ndarray | float): In degrees.

    Returns:
        np.ndarray: Of the same shape.
    """
    return 180. - np.mod(180. - np.asarray(azimuth, np.float64), 360.)


class Head:
    """Impulse responses of a head in the horizontal plane.

    Args:
        azimuths (np.ndarray): Degrees, positive left, shape (D, ); in any
            order, each once.
        responses (np.ndarray): Left and right ear, shape (D, 2, N).
        sample_rate (int): In Hz.
        name (str): Of the head, for labels: no two heads have the same.
        digest (str, optional): Of the content of the file that it was read
            from. Defaults to None, no file.

    Raises:
        ValueError: If shapes do not agree, a response is not finite, or
            directions are fewer than two or given twice.
    """

    def __init__(self, azimuths: np.ndarray, responses: np.ndarray,
                 sample_rate: int, name: str,
                 digest: Optional[str] = None) -> None:
        azimuths = wrap(azimuths)
        responses = np.asarray(responses, np.float64)
        if responses.shape[:-1] != (len(azimuths), 2):
            raise ValueError(
                f'The head {name} needs responses of shape '
                f'({len(azimuths)}, 2, N), but got {responses.shape}.')
        if not np.isfinite(responses).all():
            raise ValueError(f'The head {name} has responses that are not '
                             'finite: get the file anew.')
        if len(azimuths) < 2 or len(np.unique(azimuths)) < len(azimuths):
            raise ValueError(
                f'The head {name} needs at least two directions, each given '
                f'once, but has {len(azimuths)}, of which '
                f'{len(np.unique(azimuths))} differ.')
        order = np.argsort(azimuths)
        self.azimuths = azimuths[order]
        self.responses = responses[order]
        self.sample_rate = int(sample_rate)
        self.name, self.digest = name, digest

    def at(self, azimuth: float) -> np.ndarray:
        """The responses of one direction.

        A direction that was measured is returned as measured. Between two,
        the neighbours are brought to the same time of arrival, mixed in
        proportion to the angle, and moved to the time in between (our
        choice): mixing them as they are would cancel high frequencies.

        Args:
            azimuth (float): Degrees, positive left.

        Returns:
            np.ndarray: Left and right, shape (2, N).

        Raises:
            ValueError: If the neighbours are more than 30 degrees apart.
        """
        above, weight, gap = self._between(azimuth)
        before, after = self.responses[above - 1], self.responses[above]
        if weight == 0.:
            return before
        if gap > _WIDEST:
            raise ValueError(
                f'The head {self.name} was not measured at {azimuth:g} '
                f'degrees, and the directions around that are {gap:g} '
                'degrees apart: choose a head that was measured on all '
                'sides, or complete its back from its front '
                '(--mirror-back).')
        return np.stack([
            _mix(*ears, weight, self.sample_rate)
            for ears in zip(before, after)
        ])

    def check_all_around(self) -> None:
        """See that there are responses for every direction.

        Raises:
            ValueError: If neighbours are more than 30 degrees apart.
        """
        gaps = np.diff(self.azimuths, append=self.azimuths[0] + 360.)
        widest = int(np.argmax(gaps))
        self.at(self.azimuths[widest] + gaps[widest] / 2)

    def _between(self, azimuth: float) -> Tuple[int, float, float]:
        """Index of the neighbour above, its weight, degrees between both."""
        azimuth = float(wrap(azimuth))
        above = int(np.searchsorted(self.azimuths, azimuth, 'right'))
        below = self.azimuths[above - 1]  # the last one, where none is below
        above %= len(self.azimuths)
        gap = (self.azimuths[above] - below) % 360.
        return above, ((azimuth - below) % 360.) / gap, gap

    def resampled(self, sample_rate: int) -> 'Head':
        """The same head at another sampling rate.

        Args:
            sample_rate (int): In Hz.

        Returns:
            Head: Itself, where the rate is the same.
        """
        if sample_rate == self.sample_rate:
            return self
        directions, ears, taps = self.responses.shape
        responses = resample(
            self.responses.reshape(-1, taps).T, self.sample_rate, sample_rate)
        # A click keeps its area in seconds, so its samples grow as they
        # become fewer.
        responses = responses.T * (self.sample_rate / sample_rate)
        return Head(self.azimuths, responses.reshape(directions, ears, -1),
                    sample_rate, self.name, self.digest)

    def with_mirrored_back(self) -> 'Head':
        """Complete the directions behind from those in front.

        A direction behind gets the responses of the one in front with the
        same angle to the axis through the ears. Time and level differences
        are about right; what else tells front from back is lost.

        Returns:
            Head: With all directions in front (-90 to 90 degrees) and their
            mirror images.
        """
        front = np.abs(self.azimuths) <= 90.
        azimuths, responses = self.azimuths[front], self.responses[front]
        inner = np.abs(azimuths) < 90.
        return Head(
            np.concatenate([azimuths, 180. - azimuths[inner]]),
            np.concatenate([responses, responses[inner]]), self.sample_rate,
            f'{self.name}-mirrored', self.digest)


def shift(response: np.ndarray, samples: float) -> np.ndarray:
    """Delay a response by a fraction of samples; it keeps its length.

    Args:
        response (np.ndarray): Shape (N, ).
        samples (float): Positive for later.

    Returns:
        np.ndarray: Shape (N, ).
    """
    size = fft.next_fast_len(2 * len(response), real=True)
    turn = np.exp(-2j * np.pi * np.arange(size // 2 + 1) * samples / size)
    return fft.irfft(fft.rfft(response, size) * turn, size)[:len(response)]


def _mix(before: np.ndarray, after: np.ndarray, weight: float,
         sample_rate: int) -> np.ndarray:
    lag = delay(before, after, sample_rate) * sample_rate
    return ((1. - weight) * shift(before, weight * lag) +
            weight * shift(after, (weight - 1.) * lag))
