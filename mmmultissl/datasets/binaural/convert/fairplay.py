# Copyright (c) mmmultissl contributors. All rights reserved.
"""FAIR-Play: ten-second binaural clips of music with video.

R. Gao, K. Grauman, 2.5D Visual Sound, CVPR 2019. Read in the data set's and
its code's repositories: ``binaural_audios/000001.wav``,
``videos/000001.mp4``, frames cut at 10 per second, and ten random splits as
``splits/split1/{train,val,test}.h5`` with the paths of the clips in the entry
``audio``. The clips were cut from longer recordings, which the data set does
not name: its random splits, and those drawn here, may share a recording
between train and test.
"""
import json
import math
import re
from functools import partial
from pathlib import Path
from typing import (Dict, Iterable, Iterator, List, NamedTuple, Optional,
                    Sequence, Tuple)

import numpy as np

from mmmultissl.datasets.binaural.audio_io import Resampler
from mmmultissl.datasets.binaural.columns import SPLITS
from mmmultissl.datasets.binaural.convert.anchors import drawn_split
from mmmultissl.datasets.binaural.convert.assemble import (ClipSettings,
                                                           Pictures, assemble)
from mmmultissl.datasets.binaural.convert.checks import (check_stereo,
                                                         clipped_share)
from mmmultissl.datasets.binaural.convert.job import Recording, Source
from mmmultissl.datasets.binaural.convert.media import frames_at
from mmmultissl.datasets.binaural.convert.pictures import read_pictures
from mmmultissl.datasets.binaural.convert.sound import read_any_sound

_FRAMES_PER_SECOND = 10.


class Clip(NamedTuple):
    """Where the parts of a clip are.

    Attributes:
        name (str): Such as ``'000001'``.
        audio (Path): Its sound.
        frames (Path, optional): Folder of its frames.
        video (Path, optional): Its video, for want of frames.
        rate (float): Frames per second.
    """
    name: str
    audio: Path
    frames: Optional[Path]
    video: Optional[Path]
    rate: float = _FRAMES_PER_SECOND


def find_clips(root: Path,
               settings: ClipSettings,
               splits: Optional[Path] = None) -> List[Source]:
    """List the clips of a copy of the data set.

    Two layouts are known: the data set's own (``binaural_audios``, with
    ``frames/000001`` or ``frames/000001.mp4``, or ``videos``), and one
    folder per clip with ``audio.wav`` or ``audio.flac``, ``frames`` and
    ``meta.json``.

    Args:
        root (Path): The copy, or one folder of the second kind.
        settings (ClipSettings): How clips are converted.
        splits (Path, optional): Folder with ``train.h5``, ``val.h5`` and
            ``test.h5``. Defaults to None: each clip's split is drawn from its
            name.

    Returns:
        list[Source]: By name.

    Raises:
        FileNotFoundError: If there is no clip, or a file of the splits is
            missing.
        ValueError: If a clip stands in no split or in two.
    """
    clips = _own_layout(root) or _folder_per_clip(root)
    if not clips:
        raise FileNotFoundError(
            f'{root} has neither binaural_audios/*.wav nor folders with '
            'audio.wav or audio.flac; give the folder of FAIR-Play.')
    split_of = (
        read_splits(splits) if splits is not None else {
            clip.name: drawn_split(clip.name, settings.shares)
            for clip in clips
        })
    for clip in clips:
        if clip.name not in split_of:
            raise ValueError(
                f'The clip {clip.name} stands in none of the splits in '
                f'{splits}; give the splits of this copy, or none.')
    resampler = Resampler(settings.sample_rate)
    return [
        Source(
            name=clip.name,
            path=str(clip.audio),
            size=clip.audio.stat().st_size,
            read=partial(read_clip, clip, split_of[clip.name], settings,
                         resampler)) for clip in sorted(clips)
    ]


def _own_layout(root: Path) -> List[Clip]:
    return [
        Clip(
            path.stem, path,
            _first(root / 'frames' / name
                   for name in (path.stem, f'{path.stem}.mp4')),
            _first([root / 'videos' / f'{path.stem}.mp4']))
        for path in root.glob('binaural_audios/*.wav')
    ]


def _folder_per_clip(root: Path) -> List[Clip]:
    clips = []
    for folder in (root, *root.glob('*/')):
        audio = _first(folder / name for name in ('audio.wav', 'audio.flac'))
        if audio is None:
            continue
        meta = folder / 'meta.json'
        name, rate = _read_meta(meta) if meta.is_file() else (None, None)
        clips.append(
            Clip(name or folder.resolve().name, audio,
                 _first([folder / 'frames']), None, rate
                 or _FRAMES_PER_SECOND))
    return clips


def _read_meta(path: Path) -> Tuple[Optional[str], Optional[float]]:
    """Name of a clip and its frames per second, where its file says so."""
    try:
        said = json.loads(path.read_text(encoding='utf-8'))
        name, rate = said.get('u_id'), said.get('frame_rate')
        if rate is not None:
            rate = float(rate)
            if not 0 < rate < math.inf:
                raise ValueError(f'frame_rate is {rate}')
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{path} is not as FAIR-Play has it ({error}); correct it or '
            'remove it.') from None
    # A number would be a name, too.
    return None if name is None else str(name), rate


def _first(paths: Iterable[Path]) -> Optional[Path]:
    return next((path for path in paths if path.exists()), None)


def read_splits(folder: Path) -> Dict[str, str]:
    """Read one of the data set's random splits.

    Args:
        folder (Path): With ``train.h5``, ``val.h5`` and ``test.h5``, whose
            entry ``audio`` lists paths; of these only the file's name
            counts.

    Returns:
        dict[str, str]: Name of a clip to its split.
    """
    try:
        import h5py
    except ImportError:
        raise ImportError("Reading FAIR-Play's splits needs h5py; install it "
                          'with: pip install h5py') from None
    found: Dict[str, str] = {}
    for split in SPLITS:
        path = folder / f'{split}.h5'
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist; give one of FAIR-Play\'s folders '
                'splits/split1 … splits/split10.')
        try:
            opened = h5py.File(path, 'r')
        except OSError as error:
            raise ValueError(f'{path} is no HDF5 file ({error}); copy it '
                             'again.') from None
        with opened as file:
            if 'audio' not in file:
                raise ValueError(f'{path} has no entry audio; give one of '
                                 'FAIR-Play\'s own splits.')
            names = [
                Path(entry.decode().strip()).stem for entry in file['audio'][:]
            ]
        for name in names:
            if found.setdefault(name, split) != split:
                raise ValueError(
                    f'The clip {name} stands in {found[name]}.h5 and in '
                    f'{path}; splits may not share clips.')
    return found


def read_clip(clip: Clip, split: str, settings: ClipSettings,
              resampler: Resampler) -> Recording:
    """Convert one clip.

    Args:
        clip (Clip): Its files.
        split (str): Where it belongs.
        settings (ClipSettings): How.
        resampler (Resampler): To the rate of the settings.

    Returns:
        Recording: One pair, heading 0.

    Raises:
        UnusableFile: If its sound is not binaural or damaged.
    """
    samples, rate, _ = read_any_sound(clip.audio)
    check_stereo(samples)
    recording = assemble(
        clip.name,
        resampler(samples, rate),
        _pictures(clip, settings.height),
        settings,
        clipped=clipped_share(samples),
        source_recording=clip.name,
        split=split)
    if clip.frames is None and clip.video is None:
        recording.left_out.append(('all frames', 'no frames and no video'))
    return recording


def _pictures(clip: Clip, height: int) -> Optional[Pictures]:
    if clip.frames is not None:
        return partial(_from_folder, clip.frames, clip.rate, height)
    if clip.video is not None:
        return partial(frames_at, clip.video, height=height)
    return None


def _from_folder(folder: Path, rate: float, height: int,
                 times: Sequence[float]) -> Iterator[Tuple[int, np.ndarray]]:
    """Pick frames by their numbers; the first one is shown from time 0.

    This is the frame that the authors' loader takes, too.
    """
    numbered = {
        int(match[1]): path
        for path in folder.iterdir() if (match := re.fullmatch(
            r'\D*(\d+)\.(?:jpe?g|png)', path.name, re.IGNORECASE))
    }
    first = min(numbered, default=0)
    # Of a time on the border the later frame, whatever the rounding.
    numbers = [first + int(time * rate + 1e-6) for time in times]
    return read_pictures(
        {
            i: numbered[number]
            for i, number in enumerate(numbers) if number in numbered
        }, height)
