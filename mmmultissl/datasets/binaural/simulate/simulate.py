# Copyright (c) mmmultissl contributors. All rights reserved.
"""Writes simulated recordings as a binaural folder."""
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple, Union

import cv2
import numpy as np

from mmmultissl.datasets.binaural.columns import INFO_FILE
from mmmultissl.datasets.binaural.simulate.head import Head
from mmmultissl.datasets.binaural.simulate.panorama import (paint_background,
                                                            paint_frame)
from mmmultissl.datasets.binaural.simulate.render import HeadRenderer
from mmmultissl.datasets.binaural.simulate.room import Room, RoomRenderer
from mmmultissl.datasets.binaural.simulate.scene import (LOUD, SceneSettings,
                                                         Source, draw_sources)
from mmmultissl.datasets.binaural.simulate.splits import KEPT_APART, SPLITS

# Noise comes from this many directions; as each heading sees the same ones,
# it does not tell the headings apart.
_NOISE_DIRECTIONS = 12
# Part of a sample that the next sample of the noise keeps: darker than white.
_DARK = 0.9
# A louder recording is made softer as a whole.
_PEAK = 0.99
# A source this much fainter than its level over a clip is not heard in it.
_SILENT = -30.
# Changes when other files come out of the same settings.
_VERSION = 2


class Simulator:
    """Makes recordings, each a function of seed, split and number.

    Args:
        settings (SceneSettings): What scenes are drawn from.
        sounds (FileSounds | SynthesisedSounds): Mono sounds.
        heads (dict[str, list[Head]]): Of each split; drawn anew for every
            recording.
        apart (Sequence[str]): What must not cross splits, of 'source', 'head'
            and 'direction'. Defaults to ('source', 'direction').
        seed (int): Determines all recordings. Defaults to 0.

    Raises:
        ValueError: If something else is to be kept apart, the seed is below
            0, two heads have one name, a head has no responses for some
            direction, or one that must not is in two splits.
    """

    def __init__(self,
                 settings: SceneSettings,
                 sounds,
                 heads: Mapping[str, Sequence[Head]],
                 apart: Sequence[str] = ('source', 'direction'),
                 seed: int = 0) -> None:
        strange = set(apart) - set(KEPT_APART)
        if strange:
            raise ValueError(f'{sorted(strange)[0]!r} cannot be kept apart: '
                             f'choose among {", ".join(KEPT_APART)}.')
        if seed < 0:
            raise ValueError(f'A seed is 0 or more, but got {seed}.')
        self.settings, self.sounds = settings, sounds
        self.heads, self.seed = heads, seed
        self.apart = tuple(kind for kind in KEPT_APART if kind in apart)
        self._renderers: Dict[str, HeadRenderer] = {}
        owner: Dict[str, str] = {}
        named: Dict[str, Head] = {}
        for split in SPLITS:
            for head in heads[split]:
                # Here, before a folder is begun with it.
                head.check_all_around()
                if not _same(named.setdefault(head.name, head), head):
                    raise ValueError(
                        f'Two different heads have the name {head.name}: '
                        'rename the file of one of them.')
                if 'head' in apart and owner.setdefault(head.name,
                                                        split) != split:
                    raise ValueError(
                        f'The head {head.name} is in the splits '
                        f'{owner[head.name]} and {split}: give every split '
                        'heads of its own, or do not keep them apart.')

    def information(
        self, progress: Callable[[float], None] = lambda done: None
    ) -> Dict[str, Any]:
        """What ``dataset.json`` says beside the format's own keys.

        Args:
            progress (Callable): Called with the part of the sound files that
                was looked at. Defaults to doing nothing.

        Returns:
            dict: ``simulated``: settings, heads, what is kept apart, seed,
            version. Where files are read, ``sound_files`` and
            ``head_files``, digests of what is in them; of each head by name.

        Raises:
            FileNotFoundError: If a sound file is not there.
            UnreadableSampleError: If its header is damaged, or it is short.
        """
        files: Dict[str, Any] = {}
        sounds = self.sounds.digest(progress)
        if sounds is not None:
            files['sound_files'] = sounds
        of_heads = {
            head.name: head.digest
            for split in SPLITS for head in self.heads[split]
            if head.digest is not None
        }
        if of_heads:
            files['head_files'] = of_heads
        return dict(
            **files,
            simulated=dict(
                version=_VERSION,
                seed=self.seed,
                apart=list(self.apart),
                heads={
                    split: [head.name for head in self.heads[split]]
                    for split in SPLITS
                },
                **asdict(self.settings)))

    def name(self, split: str, number: int) -> str:
        """Name of a recording."""
        return f'{split}_{number:05d}'

    def sound(self, rng: np.random.Generator, sources: Sequence[Source],
              dry: np.ndarray, split: str) -> Tuple[np.ndarray, dict]:
        """Render a recording's sound.

        Args:
            rng (np.random.Generator): The source of randomness.
            sources (Sequence[Source]): What sounds.
            dry (np.ndarray): Their sounds, float32, shape (sources, T).
            split (str): Whose head to take.

        Returns:
            tuple[np.ndarray, dict]: float32, shape (channels, T), and what
            was drawn: the head and the room.
        """
        heads = self.heads[split]
        renderer = self._renderer(heads[int(rng.integers(len(heads)))])
        drawn: Dict[str, Any] = dict(head=renderer.head.name, room=None)
        place = renderer
        if self.settings.reverberation is not None:
            room = _draw_room(rng, self.settings.reverberation)
            drawn['room'] = room._asdict()
            place = RoomRenderer(renderer, room)
        total = self._noise(rng, renderer, dry.shape[1])
        for source, sound in zip(sources, dry):
            if source.speed == 0.:
                total += place.still(sound, source.azimuth)
            else:
                total += place.moving(
                    sound, source.azimuth_at(renderer.times(len(sound))))
        return total, drawn

    def recording(self, split: str, number: int) -> Dict[str, Any]:
        """Make a recording.

        Args:
            split (str): 'train', 'val' or 'test'.
            number (int): From 0 on.

        Returns:
            dict: ``audio``, ``rows`` and ``files``, as
            ``BinauralWriter.add_recording`` takes them.
        """
        settings = self.settings
        rate = settings.sample_rate
        rng = np.random.default_rng(
            [self.seed, SPLITS.index(split), number])
        sources = draw_sources(rng, settings, self.sounds, split, self.apart)
        dry = np.stack(
            [source.dry(settings.seconds, rate) for source in sources])
        total, drawn = self.sound(rng, sources, dry, split)
        loudest = float(np.abs(total).max())
        scale = min(1., _PEAK / loudest)
        audio = np.round(total.T * np.float32(scale * 32767)).astype(np.int16)

        name = self.name(split, number)
        background = paint_background(rng, *settings.frame_size)
        files = {f'backgrounds/{name}.jpg': _jpeg(background)}
        # What may cross splits is not what the index keeps apart.
        originals = name if 'source' not in self.apart else '+'.join(
            sorted(source.sound.original for source in sources))
        rows, anchors = [], []
        for start in self._starts():
            time = start / rate + settings.clip_seconds / 2
            shown = self._heard(sources, dry, start, time)
            if not shown:
                continue
            # The loudest is in front.
            frame = paint_frame(
                background, [source.emblem for _, source, _ in shown[::-1]],
                [source.index for _, source, _ in shown[::-1]],
                [float(source.azimuth_at(time)) for _, source, _ in
                 shown[::-1]], [loud for _, _, loud in shown[::-1]])
            stem = f'{name}/{start:08d}'
            row = dict(
                source_recording=originals,
                start=start,
                split=split,
                frame=f'frames/{stem}.jpg',
                foreground=f'foreground/{stem}.png',
                labels=f'labels/{stem}.png',
                azimuth=tuple(
                    round(float(source.azimuth_at(time)), 3)
                    for _, source, _ in shown))
            row['class'] = tuple(source.sound.label for _, source, _ in shown)
            rows.append(row)
            files[row['frame']] = _jpeg(frame.image)
            files[row['foreground']] = _png(frame.foreground)
            files[row['labels']] = _png(frame.labels)
            anchors.append(
                dict(
                    start=start,
                    time=time,
                    sounding=[{
                        'source': index,
                        'azimuth': round(float(source.azimuth_at(time)), 3),
                        'loudness': round(loud, 3)
                    } for index, source, loud in shown]))
        truth = dict(
            recording=name,
            split=split,
            **drawn,
            scale=scale,
            sources=[_truth(source, settings) for source in sources],
            anchors=anchors)
        files[f'truth/{name}.json'] = json.dumps(truth).encode()
        return dict(audio=audio, rows=rows, files=files)

    def _renderer(self, head: Head) -> HeadRenderer:
        if head.name not in self._renderers:
            self._renderers[head.name] = HeadRenderer(
                head, self.settings.sample_rate, self.settings.headings)
        return self._renderers[head.name]

    def _noise(self, rng: np.random.Generator, renderer: HeadRenderer,
               length: int) -> np.ndarray:
        from scipy.signal import lfilter
        white = rng.standard_normal((_NOISE_DIRECTIONS, length), np.float32)
        gain = LOUD * 10**(self.settings.noise / 20)
        gain *= np.sqrt((1 - _DARK**2) / _NOISE_DIRECTIONS)
        noise = lfilter(
            np.array([gain], np.float32), np.array([1, -_DARK], np.float32),
            white)
        directions = np.arange(_NOISE_DIRECTIONS) * 360 / _NOISE_DIRECTIONS
        return renderer.stills(noise.astype(np.float32), directions)

    def _starts(self) -> List[int]:
        settings = self.settings
        last = settings.seconds - settings.clip_seconds
        count = int(np.floor(last / settings.every + 1e-9)) + 1
        return [
            int(round(index * settings.every * settings.sample_rate))
            for index in range(count)
        ]

    def _heard(self, sources: Sequence[Source], dry: np.ndarray, start: int,
               time: float) -> List[Tuple[int, Source, float]]:
        """What sounds in the middle of a clip.

        Ordered by level over the whole clip, the loudest first. What is
        silent in the middle is not among them, however loud it is elsewhere.
        """
        rate = self.settings.sample_rate
        stop = start + int(self.settings.clip_seconds * rate)
        heard = []
        for index, (source, sound) in enumerate(zip(sources, dry)):
            power = np.mean(np.square(sound[start:stop], dtype=np.float64))
            level = 10 * np.log10(power / LOUD**2 + 1e-12)
            if source.sounds_at(time) and level > source.level + _SILENT:
                heard.append((level, index, source,
                              source.loudness(sound, time, rate)))
        heard.sort(key=lambda found: (-found[0], found[1]))
        return [found[1:] for found in heard]


def check_begun(root: Union[str, Path], information: Mapping[str,
                                                             Any]) -> None:
    """Refuse a folder that does not say of which files it was made.

    Earlier ones do not. Whether it was made of these, nobody knows but the
    user, and an original may cross splits in a mixture.

    Args:
        root (str | Path): Where recordings are to go.
        information (Mapping): Of :meth:`Simulator.information`.

    Raises:
        ValueError: If it was begun without what tells the files.
    """
    path = Path(root) / INFO_FILE
    if not path.is_file():
        return
    begun = json.loads(path.read_text(encoding='utf-8'))
    lacking = ', '.join(f'"{name}": {json.dumps(value)}'
                        for name, value in information.items()
                        if name.endswith('_files') and name not in begun)
    if 'simulated' in begun and lacking:
        raise ValueError(
            f'{path} does not say of which files the scenes were made: take '
            'another folder, or, if you know that they were these, write '
            f'{lacking} into it.')


def simulate(writer,
             simulator: Simulator,
             counts: Mapping[str, int],
             progress: Callable[[float], None] = lambda done: None) -> None:
    """Make the recordings that a writer does not have.

    Args:
        writer (BinauralWriter): Where they go.
        simulator (Simulator): What makes them.
        counts (dict[str, int]): How many of each split.
        progress (Callable): Called with 1 after every recording. Defaults to
            doing nothing.
    """
    for split in SPLITS:
        for number in range(counts.get(split, 0)):
            name = simulator.name(split, number)
            if name not in writer:
                made = simulator.recording(split, number)
                if made['rows']:
                    writer.add_recording(name, **made)
                else:
                    writer.skip(name, 'no clip with sound in its middle')
            progress(1)


def _same(one: Head, other: Head) -> bool:
    return one is other or (
        one.sample_rate == other.sample_rate
        and np.array_equal(one.azimuths, other.azimuths)
        and np.array_equal(one.responses, other.responses))


def _draw_room(rng: np.random.Generator,
               reverberation: Tuple[float, float]) -> Room:
    size = rng.uniform((4., 4., 2.5), (7., 7., 3.5))
    # The head is near the middle, and the sources are around it.
    place = size * (0.5, 0.5, 0.) + rng.uniform(-.4, .4, 3) * (1, 1, 0)
    place[2] = 1.5
    return Room(
        tuple(np.round(size, 3).tolist()), tuple(np.round(place, 3).tolist()),
        round(float(rng.uniform(*reverberation)), 3),
        round(float(rng.uniform(1., 1.5)), 3))


def _truth(source: Source, settings: SceneSettings) -> dict:
    times = np.arange(0., settings.seconds, 0.1)
    return {
        'class': source.sound.label,
        'original': source.sound.original,
        'level': source.level,
        'events': source.events,
        'azimuth': source.azimuth,
        'speed': source.speed,
        'azimuths_every_tenth': np.round(source.azimuth_at(times),
                                         3).tolist()
    }


def _jpeg(image: np.ndarray) -> bytes:
    return _encode('.jpg', image, (cv2.IMWRITE_JPEG_QUALITY, 90))


def _png(image: np.ndarray) -> bytes:
    return _encode('.png', image, ())


def _encode(suffix: str, image: np.ndarray, flags: Tuple[int, ...]) -> bytes:
    done, encoded = cv2.imencode(suffix, image, flags)
    if not done:
        raise OSError(f'OpenCV could not encode a {suffix} image.')
    return encoded.tobytes()
