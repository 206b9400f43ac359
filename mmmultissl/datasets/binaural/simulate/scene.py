# Copyright (c) mmmultissl contributors. All rights reserved.
"""What happens in a simulated recording: drawn here, rendered elsewhere.

All of it is our choice. Within a recording all sources turn around the head
at the same speed, or none does, so that the time between two clips can be
told from how far the scene has turned.
"""
from dataclasses import dataclass
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from mmmultissl.datasets.binaural.simulate.panorama import Emblem, paint_emblem
from mmmultissl.datasets.binaural.simulate.sounds import Sound
from mmmultissl.datasets.binaural.simulate.splits import (SPLITS, Directions,
                                                          directions_of)

# Root of the mean square of a source of level 0 dB, full scale at 1.
LOUD = 0.05
# Sources are this many degrees apart at least.
_APART = 40.
# Sounds fade in and out over this many seconds.
_FADE = 0.01
# The longest sounds last this many seconds at least: room for both fades.
_LASTS = 0.1
# From and to which value a setting makes scenes. Below -60 dB a source has
# about one step of 16 bits, above 20 dB it is at full scale.
_RANGES = dict(
    sample_rate=(8000, 192000),
    seconds=(0, 3600),
    headings=(-360, 360),
    moving=(0, 1),
    speed=(0, 360),
    on=(0, 1e6),
    off=(0, 1e6),
    levels=(-60, 20),
    noise=(-200, 20),
    clip_seconds=(0, 3600),
    every=(0.01, 3600),
    reverberation=(0, 10))
# Frames are this wide at most, in pixels.
_WIDEST = 4096
# Loudness is that of this many seconds; from faint to loud in decibels
# relative to the mean of the sound.
_HEARD, _FAINT, _LOUD = 0.2, -25., 5.


@dataclass(frozen=True)
class SceneSettings:
    """What scenes are drawn from.

    Args:
        sample_rate (int): In Hz, 8000 to 192000. Defaults to 16000.
        seconds (float): Length of a recording, up to 3600. Defaults to 20.
        headings (tuple[float]): Of the pairs, in degrees. Defaults to
            (0, 90, 180, 270).
        sources (tuple[int]): Fewest and most sources. Defaults to (1, 3).
        moving (float): Part of the recordings in which the sources turn
            around the head, 0 to 1. Defaults to 1.
        speed (float): At which they do, in degrees per second, to either
            side, 0 to 360. Defaults to 15: 30 degrees from one 2-s clip to
            the next, so that up to five clips either way are told apart.
        on (tuple[float]): Shortest and longest time that a source sounds, in
            seconds, the longest 0.1 or more. Defaults to (2, 5).
        off (tuple[float]): The same of its silence. Defaults to (0.5, 2).
        levels (tuple[float]): Of the sources, in dB, -60 to 20. Defaults to
            (-6, 0).
        noise (float): Of the noise from all sides, in dB relative to a
            source at 0 dB, -200 (none at 16 bits) to 20. Defaults to -40.
        frame_size (tuple[int]): Width and height of the frames, in pixels,
            32 high to 4096 wide. Defaults to (256, 128).
        clip_seconds (float): Length of the clips. Defaults to 2.
        every (float): Seconds from anchor to anchor, 0.01 or more. Defaults
            to 1.
        reverberation (tuple[float], optional): Shortest and longest time in
            which a room's sound falls by 60 dB, in seconds, up to 10.
            Defaults to None, no room.

    Raises:
        ValueError: If a number is out of range or not finite.
    """
    sample_rate: int = 16000
    seconds: float = 20.
    headings: Tuple[float, ...] = (0., 90., 180., 270.)
    sources: Tuple[int, int] = (1, 3)
    moving: float = 1.
    speed: float = 15.
    on: Tuple[float, float] = (2., 5.)
    off: Tuple[float, float] = (0.5, 2.)
    levels: Tuple[float, float] = (-6., 0.)
    noise: float = -40.
    frame_size: Tuple[int, int] = (256, 128)
    clip_seconds: float = 2.
    every: float = 1.
    reverberation: Optional[Tuple[float, float]] = None

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            given = getattr(self, name)
            values = given if isinstance(given, (tuple, list)) else (given, )
            for value in values:
                # NaN is in no range.
                if value is not None and not least <= value <= most:
                    raise ValueError(f'Scenes need {name} from {least:g} to '
                                     f'{most:g}, but got {value:g}.')
        pairs = dict(
            sources=self.sources, on=self.on, off=self.off,
            levels=self.levels)
        if self.reverberation is not None:
            pairs['reverberation'] = self.reverberation
        for name, (low, high) in pairs.items():
            if low > high or (name != 'levels' and low <= 0):
                raise ValueError(
                    f'Scenes need {name} from low to high'
                    f'{"" if name == "levels" else ", above 0"}, but got '
                    f'{low:g} and {high:g}.')
        if self.on[1] < _LASTS:
            raise ValueError(
                f'Scenes need sounds of {_LASTS:g} s or more, or nothing is '
                f'heard, but the longest lasts {self.on[1]:g} s.')
        if self.sources[1] > 4:
            raise ValueError(f'Scenes have four sources at most, or they '
                             f'cover each other, but got {self.sources[1]}.')
        if not 0 < self.clip_seconds <= self.seconds or self.every <= 0:
            raise ValueError(
                f'Recordings of {self.seconds:g} s with clips of '
                f'{self.clip_seconds:g} s every {self.every:g} s cannot be '
                'made: the clips are to fit, the step is to be above 0.')
        width, height = self.frame_size
        if not 32 <= height <= width <= _WIDEST:
            raise ValueError(
                f'Frames are 32 pixels high at least, not higher than wide, '
                f'and up to {_WIDEST} wide, but got {width} x {height}.')


class Source(NamedTuple):
    """A source in a recording.

    Args:
        sound (Sound): What it plays.
        index (int): Of its class.
        level (float): In dB.
        events (list[tuple[float, float]]): When it sounds: from, to, in
            seconds.
        offsets (list[float]): Where in its sound each event begins, as a
            part of it.
        azimuth (float): Where it is at time 0, in degrees.
        speed (float): Degrees per second, positive to the left; 0 for still.
        directions (Directions): The bins it stays in.
        emblem (Emblem): What it looks like.
    """
    sound: Sound
    index: int
    level: float
    events: List[Tuple[float, float]]
    offsets: List[float]
    azimuth: float
    speed: float
    directions: Directions
    emblem: Emblem

    def azimuth_at(self, time: np.ndarray) -> np.ndarray:
        """Where it is.

        Args:
            time (np.ndarray | float): In seconds.

        Returns:
            np.ndarray: Degrees in (-180, 180], of the same shape.
        """
        if self.speed == 0.:
            return np.full(np.shape(time), self.azimuth)
        return self.directions.along(self.azimuth,
                                     self.speed * np.asarray(time))

    def sounds_at(self, time: float) -> bool:
        """Whether it sounds at a time in seconds."""
        return any(on <= time < off for on, off in self.events)

    def dry(self, seconds: float, sample_rate: int) -> np.ndarray:
        """Its sound over the recording, before it reaches the head.

        Args:
            seconds (float): Length of the recording.
            sample_rate (int): In Hz.

        Returns:
            np.ndarray: float32, shape (T, ).
        """
        total = np.zeros(int(round(seconds * sample_rate)), np.float32)
        gain = np.float32(LOUD * 10**(self.level / 20))
        for (on, off), offset in zip(self.events, self.offsets):
            first, last = int(on * sample_rate), int(off * sample_rate)
            length = min(last, len(total)) - first
            start = int(offset * len(self.sound.samples))
            # A sound shorter than the event begins anew.
            part = np.take(
                self.sound.samples,
                np.arange(start, start + length),
                mode='wrap') * gain
            fade = min(int(_FADE * sample_rate), length // 2)
            rise = np.sin(np.linspace(0, np.pi / 2, fade))**2
            part[:fade] *= rise.astype(np.float32)
            part[length - fade:] *= rise[::-1].astype(np.float32)
            total[first:first + length] += part
        return total

    def loudness(self, dry: np.ndarray, time: float,
                 sample_rate: int) -> float:
        """How loud it is around a time, for its size in a frame.

        Args:
            dry (np.ndarray): Its sound over the recording, shape (T, ).
            time (float): In seconds.
            sample_rate (int): In Hz.

        Returns:
            float: 0 for faint, 1 for loud.
        """
        first = max(int((time - _HEARD / 2) * sample_rate), 0)
        heard = dry[first:first + int(_HEARD * sample_rate)]
        gain = LOUD * 10**(self.level / 20)
        power = np.mean(np.square(heard / gain, dtype=np.float64))
        decibels = 10 * np.log10(power + 1e-12)
        return float(np.clip((decibels - _FAINT) / (_LOUD - _FAINT), 0, 1))


def draw_sources(rng: np.random.Generator, settings: SceneSettings, sounds,
                 split: str, apart: Tuple[str, ...]) -> List[Source]:
    """Draw what sounds in a recording, where and when.

    Args:
        rng (np.random.Generator): The source of randomness.
        settings (SceneSettings): What to draw from.
        sounds (FileSounds | SynthesisedSounds): The sounds.
        split (str): 'train', 'val' or 'test'.
        apart (tuple[str]): What is kept apart between splits, of 'source',
            'head' and 'direction'.

    Returns:
        list[Source]: Of different classes.
    """
    assert split in SPLITS
    most = min(settings.sources[1], len(sounds.classes))
    count = int(rng.integers(min(settings.sources[0], most), most + 1))
    indices = rng.permutation(len(sounds.classes))[:count]
    directions = directions_of(split, 'direction' in apart)
    speed = 0.
    if rng.random() < settings.moving:
        speed = settings.speed * float(rng.choice([-1., 1.]))
    azimuths = _draw_azimuths(rng, directions, count)
    sources = []
    for index, azimuth in zip(indices.tolist(), azimuths):
        sound = sounds.draw(rng, sounds.classes[index],
                            split if 'source' in apart else None)
        events = _draw_events(rng, settings)
        sources.append(
            Source(
                sound=sound,
                index=index,
                level=float(rng.uniform(*settings.levels)),
                events=events,
                offsets=rng.random(len(events)).tolist(),
                azimuth=azimuth,
                speed=speed,
                directions=directions,
                emblem=paint_emblem(rng, index)))
    return sources


def _draw_azimuths(rng: np.random.Generator, directions: Directions,
                   count: int) -> List[float]:
    while True:
        azimuths = [directions.draw(rng) for _ in range(count)]
        gaps = np.diff(np.sort(np.array(azimuths + [min(azimuths) + 360.])))
        if count == 1 or gaps.min() >= _APART:
            return azimuths


def _draw_events(rng: np.random.Generator,
                 settings: SceneSettings) -> List[Tuple[float, float]]:
    """Sound and silence in turns, from somewhere in a sound or a silence."""
    events = []
    time = -float(rng.uniform(0., settings.on[1] + settings.off[1]))
    while time < settings.seconds:
        on = max(time, 0.)
        time += float(rng.uniform(*settings.on))
        # What is left of a sound that began before is heard if it lasts.
        if time - on > 4 * _FADE and on < settings.seconds - 4 * _FADE:
            events.append((round(on, 4), round(min(time, settings.seconds),
                                               4)))
        time += float(rng.uniform(*settings.off))
    return events
