# Copyright (c) mmmultissl contributors. All rights reserved.
"""Sounds that are computed, for the demo and for tests: no file is needed.

Six kinds that differ in spectrum and in how they go on and off. All of it is
our choice, and nothing is taken from recordings.
"""
import zlib
from functools import lru_cache
from typing import Callable, Dict, Optional

import numpy as np
from scipy import signal

from mmmultissl.datasets.binaural.simulate.sounds import Sound, normalised
from mmmultissl.datasets.binaural.simulate.splits import SPLITS

_SECONDS = 6.


class SynthesisedSounds:
    """As many different sounds as wanted, of six classes.

    Args:
        sample_rate (int): In Hz.
        originals (int): Different sounds of each class and split. Defaults
            to 50.
    """
    classes = ('bell', 'bird', 'engine', 'footsteps', 'siren', 'water')

    def __init__(self, sample_rate: int, originals: int = 50) -> None:
        self.sample_rate, self.originals = sample_rate, originals
        self._make = lru_cache(maxsize=512)(self._synthesise)

    def draw(self, rng: np.random.Generator, label: str,
             split: Optional[str]) -> Sound:
        """Draw a sound.

        Args:
            rng (np.random.Generator): The source of randomness.
            label (str): Its class.
            split (str, optional): Its split; None for any.

        Returns:
            Sound: Six seconds; its original is its number.
        """
        if split is None:
            split = SPLITS[int(rng.integers(len(SPLITS)))]
        original = f'{label}-{split}-{int(rng.integers(self.originals))}'
        return Sound(label, original, self._make(label, original))

    def digest(
            self,
            progress: Callable[[float], None] = lambda done: None) -> None:
        """What tells them from other sounds: nothing, as there is no file.

        Args:
            progress (Callable): Not called; see :meth:`FileSounds.digest`.
        """

    def _synthesise(self, label: str, original: str) -> np.ndarray:
        rng = np.random.default_rng(zlib.crc32(original.encode()))
        return normalised(_MAKERS[label](rng, self.sample_rate))


def _time(sample_rate: int, seconds: float = _SECONDS) -> np.ndarray:
    return np.arange(int(seconds * sample_rate)) / sample_rate


def _repeat(rng: np.random.Generator, sample_rate: int, shortest: float,
            longest: float, strike: Callable[[], np.ndarray]) -> np.ndarray:
    """Put strikes one after the other, more or less evenly."""
    total = np.zeros(int(_SECONDS * sample_rate))
    gap = rng.uniform(shortest, longest)
    start = 0.
    while start < _SECONDS:
        first = int(start * sample_rate)
        sound = strike()[:len(total) - first]
        total[first:first + len(sound)] += sound
        start += gap * rng.uniform(0.9, 1.1)
    return total


def _tone(frequency: np.ndarray, sample_rate: int) -> np.ndarray:
    return np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate)


def _band(sound: np.ndarray, low: float, high: float,
          sample_rate: int) -> np.ndarray:
    high = min(high, 0.45 * sample_rate)
    return signal.sosfilt(
        signal.butter(2, (low, high), 'band', fs=sample_rate, output='sos'),
        sound)


def _bell(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    base = rng.uniform(350., 800.)
    ratios = np.array([1., 2., 2.4, 3., 4.5, 5.3]) * rng.uniform(
        0.98, 1.02, 6)
    fades = rng.uniform(0.25, 0.6) / np.sqrt(ratios)
    time = _time(sample_rate, 1.5)[:, None]

    def strike() -> np.ndarray:
        partials = np.exp(-time / fades) * np.sin(
            2 * np.pi * base * ratios * time)
        return partials @ (0.8**np.arange(6))

    return _repeat(rng, sample_rate, 0.6, 1.1, strike)


def _bird(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    centre = rng.uniform(3000., 5000.)
    spread = rng.uniform(500., 1500.) * rng.choice([-1., 1.])

    def chirp() -> np.ndarray:
        time = np.linspace(-1, 1, int(rng.uniform(.08, .14) * sample_rate))
        return np.cos(np.pi / 2 * time)**2 * _tone(centre + spread * time,
                                                   sample_rate)

    return _repeat(rng, sample_rate, 0.18, 0.32, chirp)


def _engine(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    time = _time(sample_rate)
    base = rng.uniform(45., 95.) * (1 + .03 * np.sin(
        2 * np.pi * rng.uniform(.3, .8) * time))
    phase = 2 * np.pi * np.cumsum(base) / sample_rate
    hum = sum(
        np.sin(order * phase + rng.uniform(0, 6)) / order**0.7
        for order in range(1, 25))
    rattle = _band(rng.standard_normal(len(time)), 300., 2000., sample_rate)
    return hum + 1.5 * rattle * (1 + np.sin(phase)) / 2


def _footsteps(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    low, high = rng.uniform(100., 250.), rng.uniform(1500., 3000.)
    time = _time(sample_rate, 0.2)

    def step() -> np.ndarray:
        noise = rng.standard_normal(len(time)) * np.exp(-time / 0.03)
        return _band(noise, low, high, sample_rate)

    return _repeat(rng, sample_rate, 0.35, 0.6, step)


def _siren(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    sweep = np.sin(2 * np.pi * _time(sample_rate) / rng.uniform(0.8, 2.))
    base = rng.uniform(800., 1100.) * 2**(rng.uniform(.4, .8) * sweep)
    return sum(
        _tone(order * base, sample_rate) / order for order in (1, 2, 3))


def _water(rng: np.random.Generator, sample_rate: int) -> np.ndarray:
    count = int(_SECONDS * sample_rate)
    noise = _band(
        rng.standard_normal(count), rng.uniform(300., 800.), 7000.,
        sample_rate)
    slow = np.interp(
        np.linspace(0, 1, count), np.linspace(0, 1, 40),
        rng.uniform(0.5, 1.5, 40))
    return noise * slow


_MAKERS: Dict[str, Callable[[np.random.Generator, int], np.ndarray]] = dict(
    bell=_bell,
    bird=_bird,
    engine=_engine,
    footsteps=_footsteps,
    siren=_siren,
    water=_water)
