# Copyright (c) mmmultissl contributors. All rights reserved.
"""OmniAudio: street scenes by eight microphones and a 360-degree camera.

A. B. Vasudevan, D. Dai, L. Van Gool, Semantic Object Prediction and Spatial
Sound Super-Resolution with Binaural Sounds, ECCV 2020. What is read here was
read in the authors' loaders and their drawing of the rig; the docstrings say
where it was inferred.
"""
import re
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from mmmultissl.datasets.binaural.audio_io import resample
from mmmultissl.datasets.binaural.convert.anchors import clip_starts
from mmmultissl.datasets.binaural.convert.assemble import QUIETER
from mmmultissl.datasets.binaural.convert.checks import (check_samples, rms,
                                                         to_int16)
from mmmultissl.datasets.binaural.convert.foreground import (NO_FOREGROUND,
                                                             difference_masks)
from mmmultissl.datasets.binaural.convert.job import Recording, Source
from mmmultissl.datasets.binaural.convert.media import frames_at
from mmmultissl.datasets.binaural.convert.pictures import (jpeg, png, read_map,
                                                           read_picture,
                                                           read_pictures,
                                                           resized_map)
from mmmultissl.datasets.binaural.convert.sound import read_any_sound
from mmmultissl.datasets.binaural.convert.unusable import UnusableFile

RATE = 48000
CLIP_SECONDS = 2.
CLASSES = ('car', 'tram', 'motorcycle')

# Scenes of each split. Train and val are the authors'; 140-165 stand in none
# of their loaders, and are taken for the test scenes.
_SPLITS = dict(train=range(1, 115), val=range(115, 140), test=range(140, 166))

# Tracks of left and right ear by heading, from the drawing of the rig: two
# ears on each face of a box, paired across the corners. Ordered so that each
# step turns the head by 90 degrees to the left.
PAIRS = {0.: (2, 5), 90.: (8, 3), 180.: (6, 1), -90.: (4, 7)}

# Levels that the authors' code gives each track.
_TRACK_RMS = {
    1: 43.2666,
    2: 44.5939,
    3: 46.4066,
    4: 54.6093,
    5: 39.2109,
    6: 49.6621,
    7: 53.7502,
    8: 44.5070
}
# The authors divide the files' integers by 2^15 and bring each track from
# the level above to 0.1. Levels near 50 can only come from integers of 24
# bits, whose full scale is 2^23 / 2^15 = 256 in that unit (inferred).
_FULL_SCALE = 2**23 / 2**15
_TARGET_RMS = 0.1

# A clip is kept if the mean square of the calibrated track 1 exceeds this.
ENERGY = 2e-4

# The recorder stops all tracks together; more than this, in seconds, is a
# copy that was cut off.
_OUT_OF_STEP = 0.1

# Label ids and train ids of Cityscapes: car, train (trams), motorcycle.
_IDS = dict(label=(26, 31, 32), train=(13, 16, 17))
# Where neither numbering has a class.
_IGNORED = 255


def track_gain(track: int) -> float:
    """What calibrates a track, for samples whose full scale is 1.

    One factor per microphone for the whole set: it evens out microphones and
    preamplifiers, and keeps every difference of level between ears that
    comes from the scene. All factors are below 1, so files of whole numbers
    do not clip.

    Args:
        track (int): From 1 to 8.

    Returns:
        float: Such as 0.592 for track 1.
    """
    return _TARGET_RMS * _FULL_SCALE / _TRACK_RMS[track]


def split_of(scene: int) -> str:
    """The split that a scene belongs to.

    Args:
        scene (int): From 1 to 165.

    Returns:
        str: ``'train'``, ``'val'`` or ``'test'``.
    """
    return next(name for name, scenes in _SPLITS.items() if scene in scenes)


class Settings(NamedTuple):
    """How scenes are converted.

    Attributes:
        height (int): Of the frames, in pixels; larger ones are reduced.
        front (float): Where in the frame's width the rig's front is, 0 the
            left edge, 0.5 the centre (inferred; the loaders do not say).
        ids (str): Numbering of the segmentation: ``'label'`` or ``'train'``
            ids of Cityscapes.
        sample_rate (int): Of the result.
        foreground (str): Where there are no change masks, ``'difference'``
            marks what differs from the median of the scene's frames,
            ``'none'`` nothing.
        incomplete (str): ``'keep'`` or ``'skip'`` scenes of which some pairs
            lack a track.
    """
    height: int = 480
    front: float = 0.5
    ids: str = 'label'
    sample_rate: int = RATE
    foreground: str = 'difference'
    incomplete: str = 'skip'

    def check(self) -> None:
        """See that they can be used.

        Raises:
            ValueError: If one makes no sense.
        """
        if not 0 <= self.front <= 1:
            raise ValueError(f'--front is {self.front}; give a number from 0, '
                             "the frames' left edge, to 1, their right one.")
        for name, value in (('--sample-rate', self.sample_rate),
                            ('--frame-height', self.height)):
            if value < 1:
                raise ValueError(f'{name} is {value}; give 1 or more.')

    def info(self) -> dict:
        """What ``dataset.json`` says of them.

        Returns:
            dict: With which a folder can be continued.
        """
        return dict(
            clip_seconds=CLIP_SECONDS,
            hop_seconds=CLIP_SECONDS,
            frame_height=self.height,
            front=self.front,
            segmentation_ids=self.ids,
            foreground=self.foreground,
            incomplete=self.incomplete)


def find_scenes(root: Path, settings: Settings) -> List[Source]:
    """List the scenes of a copy of the data set.

    Args:
        root (Path): The folder of ``scene0001`` … ``scene0165``; folders
            without leading zeros, which the loaders use up to 36, are taken
            too.
        settings (Settings): How they are converted.

    Returns:
        list[Source]: In the order of their numbers.

    Raises:
        FileNotFoundError: If there is none.
    """
    scenes = {}
    for folder in root.glob('scene*') if root.is_dir() else ():
        match = re.fullmatch(r'scene(\d{1,4})', folder.name)
        if match and folder.is_dir() and 1 <= int(match[1]) <= 165:
            number = int(match[1])
            if number in scenes:
                raise ValueError(
                    f'{scenes[number]} and {folder} are the same scene; '
                    'remove one of them.')
            scenes[number] = folder
    if not scenes:
        raise FileNotFoundError(
            f'{root} has no folder scene0001 … scene0165; give the folder '
            'that holds the scenes of OmniAudio (dataset_public of its '
            'data.zip).')
    return [
        Source(
            name=f'scene{number:04d}',
            path=str(folder),
            size=sum(path.stat().st_size
                     for path in _track_paths(folder)[0].values()),
            read=partial(read_scene, number, folder, settings))
        for number, folder in sorted(scenes.items())
    ]


def _track_paths(folder: Path) -> Tuple[Dict[int, Path], List[str]]:
    """The tracks of a scene: NAME.WAV/NAME_Tr1.WAV … NAME_Tr8.WAV.

    Of several recordings the loaders, too, take one. It is that with the most
    tracks, since tracks of two do not belong together; the others are named.
    """
    found: Dict[Path, Dict[int, Path]] = {}
    for path in sorted(folder.glob('*.[Ww][Aa][Vv]/*.[Ww][Aa][Vv]')):
        match = re.fullmatch(r'(.+)_Tr([1-8])', path.stem)
        if match and path.is_file() and match[1] == path.parent.stem:
            found.setdefault(path.parent, {})[int(match[2])] = path
    if not found:
        return {}, []
    best = max(found, key=lambda name: len(found[name]))  # the first of equals
    return found[best], [name.name for name in found if name != best]


def read_scene(number: int, folder: Path, settings: Settings) -> Recording:
    """Convert one scene.

    Args:
        number (int): Of the scene.
        folder (Path): Its folder.
        settings (Settings): How.

    Returns:
        Recording: One pair per heading whose two tracks exist.

    Raises:
        UnusableFile: If track 1 or every pair is missing, a track is not at
            48,000 Hz, or no clip is loud enough.
    """
    paths, others = _track_paths(folder)
    if 1 not in paths:
        raise UnusableFile('track 1 is missing')
    pairs = {
        heading: tracks
        for heading, tracks in PAIRS.items() if set(tracks) <= set(paths)
    }
    missing = ', '.join(
        str(track) for track in sorted(set(range(1, 9)) - set(paths)))
    if not pairs or (settings.incomplete == 'skip' and missing):
        raise UnusableFile(f'tracks are missing: {missing}')
    audio, factor, starts = _read_tracks(paths, pairs, settings.sample_rate)
    seconds = [start // RATE for start in starts]
    recording = Recording(audio, [], {}, [])
    if factor < 1:
        recording.left_out.append(('', QUIETER))
    recording.left_out.extend(
        (name, 'another recording of the scene') for name in others)
    if missing:
        lost = ', '.join(f'{h:g}' for h in PAIRS if h not in pairs)
        recording.left_out.append(
            (f'headings {lost}', f'tracks are missing: {missing}'))
    frames = _read_frames(folder, seconds, settings)
    if frames is None:
        recording.left_out.append(('all frames', 'no frames and no video'))
    elif len(frames) < len(seconds):
        # The authors' clips are those that have a frame.
        recording.left_out.append(
            (f'{len(seconds) - len(frames)} of {len(seconds)} clips',
             'no readable frame at the centre of the clip'))
        seconds = list(frames)
        if not seconds:
            raise UnusableFile('no readable frame')
    name = f'scene{number:04d}'
    moving = _moving(folder, frames, settings, recording)
    foregrounds, empty = 0, 0
    for second in seconds:
        row = dict(
            start=second * settings.sample_rate,
            headings=tuple(pairs),
            split=split_of(number))
        frame = frames[second] if frames is not None else None
        try:
            masks = _read_masks(folder, second, frame, settings)
        except UnusableFile as error:
            recording.left_out.append(
                (f'masks of second {second}', str(error)))
            masks = {}
        if second in moving:
            masks['foreground'] = moving[second]
        if 'foreground' in masks:
            foregrounds += 1
            if not masks['foreground'].any():
                del masks['foreground']
                empty += 1
        pictures = {kind: png(mask) for kind, mask in masks.items()}
        if frame is not None:
            pictures['frame'] = jpeg(frame)
        for kind, content in pictures.items():
            row[kind] = _PLACES[kind].format(f'{name}/{second:06d}')
            recording.files[row[kind]] = content
        recording.rows.append(row)
    if empty:
        recording.left_out.append(
            (f'{empty} of {foregrounds} foreground masks', NO_FOREGROUND))
    background = folder / 'bg.png'
    if background.is_file():
        recording.files[f'backgrounds/{name}.jpg'] = jpeg(
            _turned(read_picture(background, settings.height), settings))
    return recording


_PLACES = dict(
    frame='frames/{}.jpg',
    foreground='foreground/{}.png',
    labels='labels/{}.png')


def _read_tracks(paths: Dict[int, Path], pairs: Dict[float, Tuple[int, int]],
                 rate: int) -> Tuple[np.ndarray, float, List[int]]:
    """Read the pairs, and find the clips that are loud enough."""
    order = [track for tracks in pairs.values() for track in tracks]
    columns, lengths = {}, []
    for track in sorted({1, *order}):
        samples, its_rate, _ = read_any_sound(paths[track])
        if its_rate != RATE:
            raise UnusableFile('not at 48000 Hz',
                               f'track {track} at {its_rate} Hz')
        # The loaders take the first channel.
        mono = samples[:, :1] * np.float32(track_gain(track))
        try:
            check_samples(mono)
        except UnusableFile as error:
            raise UnusableFile(error.reason, f'track {track}') from None
        lengths.append(len(mono))
        if track == 1:
            loud = mono[:, 0]
        if track in order:
            columns[track] = resample(mono, RATE, rate)
    if max(lengths) - min(lengths) > _OUT_OF_STEP * RATE:
        raise UnusableFile('tracks of different lengths')
    length = min(lengths)
    # One factor for all, or differences of level between ears would change.
    audio, factor = to_int16(
        np.concatenate(
            [columns[track][:length * rate // RATE] for track in order],
            axis=1))
    return audio, factor, _loud_enough(loud[:length])


def _loud_enough(track: np.ndarray) -> List[int]:
    """Clips at even seconds whose mean square exceeds the threshold."""
    clip = round(CLIP_SECONDS * RATE)
    starts = [
        start
        for start in clip_starts(len(track), RATE, CLIP_SECONDS, CLIP_SECONDS)
        if rms(track[start:start + clip])**2 > ENERGY
    ]
    if not starts:
        raise UnusableFile('no clip is loud enough')
    return starts


def _read_frames(folder: Path, seconds: List[int],
                 settings: Settings) -> Optional[Dict[int, np.ndarray]]:
    """The frames at the centres of clips, by the second the clips start at.

    None if the scene has neither frames nor a video.
    """
    stored = {
        int(match[1]): path
        for path in folder.glob('split_videoframes/*.png')
        if (match := re.search(r'_(\d{6})$', path.stem))
    }
    video = next(iter(sorted(folder.glob('*cropped.mp4'))), None)
    if stored:
        found = read_pictures(
            {second: stored[second]
             for second in seconds if second in stored}, settings.height)
    elif video is not None:
        centres = [second + CLIP_SECONDS / 2 for second in seconds]
        found = ((seconds[i], picture)
                 for i, picture in frames_at(video, centres, settings.height))
    else:
        return None
    return {second: _turned(picture, settings) for second, picture in found}


def _read_masks(folder: Path, second: int, frame: Optional[np.ndarray],
                settings: Settings) -> Dict[str, np.ndarray]:
    """The foreground mask and the labels of a clip, where they exist.

    The foreground is what the change mask marks: pixels whose class differs
    from that of the scene's background. Labels are the sounding classes
    within it; all else is background, as in the loaders.
    """
    change = folder / 'binary_semantic_change_masks' / f'{second:06d}_mask.png'
    classes = folder / 'segment_splitframes/pred' / f'{second:06d}_mask.png'
    if not change.is_file():
        return {}
    changed = read_map(change) >= 128
    masks = dict(foreground=changed.astype(np.uint8) * 255)
    if classes.is_file():
        ids = read_map(classes)
        if settings.ids == 'train' and ((ids > 18) & (ids < _IGNORED)).any():
            raise ValueError(
                f'{classes} holds ids above 18, so they are no train ids of '
                'Cityscapes; choose --segmentation-ids label.')
        if ids.shape != changed.shape:
            raise UnusableFile('masks of different sizes',
                               f'{second:06d}_mask.png')
        labels = np.where(ids == _IGNORED, ids, 0)
        for value, number in enumerate(_IDS[settings.ids], start=1):
            labels[ids == number] = value
        masks['labels'] = np.where(changed, labels, 0).astype(np.uint8)
    if frame is not None:
        masks = {
            kind: resized_map(mask, frame)
            for kind, mask in masks.items()
        }
    return {kind: _turned(mask, settings) for kind, mask in masks.items()}


def _moving(folder: Path, frames: Optional[Dict[int, np.ndarray]],
            settings: Settings, recording: Recording) -> Dict[int, np.ndarray]:
    """Foreground masks from the frames alone, by second."""
    if (settings.foreground == 'none' or not frames
            or (folder / 'binary_semantic_change_masks').is_dir()):
        return {}
    try:
        masks = difference_masks(list(frames.values()))
    except UnusableFile as error:
        recording.left_out.append(('foreground', str(error)))
        return {}
    return dict(zip(frames, masks))


def _turned(picture: np.ndarray, settings: Settings) -> np.ndarray:
    """Bring the rig's front into the centre."""
    columns = round((0.5 - settings.front) * picture.shape[1])
    return np.roll(picture, columns, axis=1)
