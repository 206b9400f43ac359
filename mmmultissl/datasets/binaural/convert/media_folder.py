# Copyright (c) mmmultissl contributors. All rights reserved.
"""Any folder of videos and audio files, one recording per file."""
import os
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from mmmultissl.datasets.binaural.audio_io import Resampler
from mmmultissl.datasets.binaural.columns import SPLITS
from mmmultissl.datasets.binaural.convert.anchors import drawn_split
from mmmultissl.datasets.binaural.convert.assemble import (ClipSettings,
                                                           assemble)
from mmmultissl.datasets.binaural.convert.checks import (check_stereo,
                                                         clipped_share)
from mmmultissl.datasets.binaural.convert.job import Recording, Source
from mmmultissl.datasets.binaural.convert.media import (AUDIO_SUFFIXES,
                                                        VIDEO_SUFFIXES,
                                                        frames_at,
                                                        has_pictures)
from mmmultissl.datasets.binaural.convert.sound import read_any_sound


class Grouping(NamedTuple):
    """How files are named, split and labelled.

    Attributes:
        source_pattern (str, optional): Regular expression searched in the
            path relative to the folder, without suffix; its first group names
            the source recording that may not cross splits. None: every file
            is a source of its own.
        split_folders (bool): Whether the uppermost folders ``train``,
            ``val`` and ``test`` are the splits.
        class_folders (bool): Whether the folder a file lies in is its class.
    """
    source_pattern: Optional[str] = None
    split_folders: bool = False
    class_folders: bool = False

    def info(self) -> dict:
        """What ``dataset.json`` says of it.

        Returns:
            dict: What is not the default, with which a folder can be
            continued; another grouping would share sources between splits.
        """
        return {
            name: value
            for name, value in self._asdict().items() if value
        }


class Channels(NamedTuple):
    """What the channels of the files are.

    Attributes:
        check (Callable): Refuses, by UnusableFile, samples (samples,
            channels) that are something else; it sees them as they are
            stored.
        to_pairs (Callable): Makes binaural pairs (samples, 2 * pairs) of
            them, at the rate of the result.
        headings (tuple[float]): Of these pairs, in degrees.
    """
    check: Callable[[np.ndarray], None]
    to_pairs: Callable[[np.ndarray], np.ndarray]
    headings: Tuple[float, ...] = (0., )


STEREO = Channels(check_stereo, lambda samples: samples)


def find_files(root: Path,
               settings: ClipSettings,
               grouping: Grouping = Grouping(),
               channels: Channels = STEREO) -> List[Source]:
    """List the videos and audio files below a folder.

    Args:
        root (Path): The folder; links to folders are followed.
        settings (ClipSettings): How they are converted.
        grouping (Grouping): Sources, splits, classes.
        channels (Channels): What the files hold. Defaults to left and right
            ear.

    Returns:
        list[Source]: In the order of their paths.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the pattern has no group or does not occur in a path,
            a file lies in no split, or a source in two.
    """
    paths = _media_files(root)
    stems = Counter(path.with_suffix('') for path in paths)
    resampler = Resampler(settings.sample_rate)
    sources = []
    split_of: Dict[str, str] = {}
    for path in paths:
        inner = path.relative_to(root)
        columns = _columns(inner, grouping, settings)
        source = columns['source_recording']
        if split_of.setdefault(source, columns['split']) != columns['split']:
            raise ValueError(
                f'The source recording {source!r} is in the folders '
                f'{split_of[source]} and {columns["split"]}; keep it in one.')
        name = inner.with_suffix('').as_posix()
        if stems[path.with_suffix('')] > 1:  # a.wav beside a.mp4
            name += inner.suffix.replace('.', '_')
        sources.append(
            Source(
                name=name,
                path=str(path),
                size=path.stat().st_size,
                read=partial(read_file, path, name, settings, channels,
                             resampler, columns)))
    return sources


def _media_files(root: Path) -> List[Path]:
    suffixes = VIDEO_SUFFIXES + AUDIO_SUFFIXES
    paths, seen = [], set()
    for parent, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != '.')
        paths += [
            Path(parent, name) for name in names
            if name.lower().endswith(suffixes) and name[0] != '.'
        ]
    if not paths:
        raise FileNotFoundError(
            f'{root} holds no video and no audio file '
            f'({" ".join(suffixes)}); give a folder that does.')
    return sorted(paths)


def _searched(pattern: str, source: str) -> Optional['re.Match']:
    try:
        return re.search(pattern, source)
    except re.error as error:
        raise ValueError(
            f'The source pattern {pattern!r} is no regular expression '
            f'({error}); correct it.') from None


def _columns(inner: Path, grouping: Grouping, settings: ClipSettings) -> dict:
    source = inner.with_suffix('').as_posix()
    if grouping.source_pattern is not None:
        match = _searched(grouping.source_pattern, source)
        if match is None or not match.groups() or not match[1]:
            raise ValueError(
                f'The source pattern {grouping.source_pattern!r} finds no '
                f'group in {source!r}; write one with a group in parentheses '
                'that occurs in every path.')
        source = match[1]
    if grouping.split_folders:
        split = inner.parts[0]
        if split not in SPLITS:
            raise ValueError(f'{inner} lies in none of the folders '
                             f'{", ".join(SPLITS)}; move it into one.')
    else:
        split = drawn_split(source, settings.shares)
    columns = dict(source_recording=source, split=split)
    if grouping.class_folders:
        columns['class'] = (_class_of(inner, grouping), )
    return columns


def _class_of(inner: Path, grouping: Grouping) -> str:
    # A split's folder is no class.
    if len(inner.parts) == 1 + grouping.split_folders:
        raise ValueError(f'{inner} lies in no folder that would be its '
                         'class; move it into one.')
    # The index separates classes by blanks.
    return '_'.join(inner.parts[-2].split())


def classes_of(root: Path, grouping: Grouping) -> Tuple[str, ...]:
    """The classes that the folders of files name.

    Args:
        root (Path): As in :func:`find_files`.
        grouping (Grouping): Whether folders are classes.

    Returns:
        tuple[str]: Sorted; none where folders are not classes.
    """
    if not grouping.class_folders:
        return ()
    return tuple(
        sorted(
            {_class_of(path.relative_to(root), grouping)
             for path in _media_files(root)}))


def read_file(path: Path, name: str, settings: ClipSettings,
              channels: Channels, resampler: Resampler,
              columns: dict) -> Recording:
    """Convert one file.

    Args:
        path (Path): The file.
        name (str): Of the recording.
        settings (ClipSettings): How.
        channels (Channels): What it holds.
        resampler (Resampler): To the rate of the settings.
        columns (dict): Of the index, the same for all clips.

    Returns:
        Recording: With frames if the file is a video.

    Raises:
        UnusableFile: If it cannot be used.
    """
    samples, rate, start = read_any_sound(path)
    channels.check(samples)
    pairs = channels.to_pairs(resampler(samples, rate))

    def pictures_at(times):
        # The clips count from the first sample, the pictures on the file's
        # clock.
        return frames_at(path, [start + time for time in times],
                         settings.height)

    pictures = None
    if path.suffix.lower() in VIDEO_SUFFIXES and has_pictures(path):
        pictures = pictures_at

    return assemble(name, pairs, pictures, settings, channels.headings,
                    clipped_share(samples), **columns)
