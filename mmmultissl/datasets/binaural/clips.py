# Copyright (c) mmmultissl contributors. All rights reserved.
"""Clips of binaural recordings in the views that the pretext tasks read."""
import math
from collections import Counter
from numbers import Integral
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.logging import print_log
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset

from mmmultissl.datasets.binaural import pictures
from mmmultissl.datasets.binaural.columns import COLUMNS, fold
from mmmultissl.datasets.binaural.folder import BinauralFolder
from mmmultissl.datasets.unreadable import UnreadableSampleError
from mmmultissl.registry import DATASETS
from mmmultissl.utils.seeding import hash_ints

VIEWS = ('clip', 'rotated', 'shifted', 'others', 'frame', 'foreground',
         'labels')
# View -> the column without which it cannot be made.
_FILE_OF = dict(frame='frame', foreground='foreground', labels='labels')


@DATASETS.register_module()
class BinauralClips(Dataset):
    """Samples of a binaural folder: one for each row of its index.

    A sample is ``dict(inputs={view: tensor}, data_samples=DataSample)``.
    With T the samples of a clip, P the binaural pairs of the recording, p
    the pair that the head is turned to, t the clip's start:

    ============ ======================= ===================================
    view         shape, dtype            what
    ============ ======================= ===================================
    clip         (2, T) int16            pair p at t; left, right
    rotated      (2, T) int16            pair p + k (mod P) at t
    shifted      (2, T) int16            pair p at t + g T
    others       (2 (P - 1), T) int16    pairs p + 1, p + 2, ... (mod P) at t
    frame        (3, H, W) uint8         RGB, turned to the heading of p
    foreground   (3, H, W) uint8         the same, all else mean grey
    labels       (H, W) uint8            0 background, c + 1 class, 255 not
                                         judged; turned likewise
    ============ ======================= ===================================

    Fields of the data sample (metainfo): ``rotation``, k in pair steps, and
    ``rotation_angle``, the same in degrees; ``gap``, the signed g in clip
    lengths, never 0, so that clips do not overlap; ``recording``, its
    ``recording_id``; ``start`` in samples; ``heading`` of pair p in degrees;
    ``azimuth`` of the loudest source relative to it (nan where unknown);
    ``pairs``, P; ``swap``, False here. ``gt_label`` is the class of the
    loudest source, where it is known.

    With one pair (plain stereo) there is no other heading: ``rotated`` is the
    clip with left and right exchanged, and ``rotation`` is 1; it is the clip
    itself, and 0, where k = 0 is drawn.

    What is drawn (p, k, g, in this order, and always, so that the views asked
    for do not change each other) comes from NumPy's global generator, which
    ``SeededDataset`` seeds for each sample. Yaw, pairs as rotations and gaps
    in clip lengths follow the tasks' definitions, which are our choice: the
    paper names the tasks only.

    Rows that cannot give the views are left out when the folder is read, and
    counted and named in the log. What is found damaged later is skipped,
    counted and named by ``SeededDataset``.

    Args:
        data_root (str): The binaural folder.
        split (str): ``'train'``, ``'val'``, ``'test'``, '' for all rows.
            Defaults to 'train'.
        clip_seconds (float): Length of a clip. Defaults to 2.0.
        views (Sequence[str]): The views to make; only these are read.
            Defaults to ('clip', 'rotated', 'shifted', 'frame', 'foreground').
        rotations (Sequence[int]): What k is drawn from; 0 only if it stands
            here, also after taking it modulo P. Defaults to (1, 2, 3).
        max_gap (int): Largest gap, in clip lengths. Its size is drawn evenly
            from those that lie inside the recording, then its sign.
            Defaults to 5.
        every_gap (bool): Whether rows at which one of the gaps does not fit
            are left out, so that all gaps are equally frequent; otherwise
            large ones are rarer. Defaults to False.
        listed_gaps (bool): Whether ``shifted`` begins only where the index
            has a row of the recording too, to within half of the least
            distance between its rows. The index leaves out what is silent,
            so that a ``shifted`` from anywhere is told by its silence,
            without the picture. Defaults to True.
        random_yaw (bool): Whether p is drawn; otherwise it is the first pair.
            Frames that are no panorama cannot be turned: with them it is the
            first one, too. Defaults to True.
        start_jitter (float): Largest time shift of clip and companions
            against the index (and so against the frame), in seconds, drawn
            evenly. Defaults to 0.
        frame_size (tuple[int, int]): Height and width. Defaults to
            (224, 448), the size of 2.5D visual sound's crops.
        sample_rate (int, optional): What the model expects; another rate of
            the folder is an error. Defaults to None: any.
        needs (Sequence[str]): Columns of the index, such as 'azimuth' or
            'class', without which a row is of no use to the task.
            Defaults to none.
        test_mode (bool): Whether every row always gives the same sample:
            first pair, no jitter, k and g a function of the row's number.
            Defaults to False.

    Raises:
        FileNotFoundError: If the folder, its index or its sound is missing.
        ValueError: If no row can give the views, or a setting cannot be used.
    """

    def __init__(self,
                 data_root: str,
                 split: str = 'train',
                 clip_seconds: float = 2.,
                 views: Sequence[str] = ('clip', 'rotated', 'shifted',
                                         'frame', 'foreground'),
                 rotations: Sequence[int] = (1, 2, 3),
                 max_gap: int = 5,
                 every_gap: bool = False,
                 listed_gaps: bool = True,
                 random_yaw: bool = True,
                 start_jitter: float = 0.,
                 frame_size: Tuple[int, int] = (224, 448),
                 sample_rate: Optional[int] = None,
                 needs: Sequence[str] = (),
                 test_mode: bool = False) -> None:
        _check_settings(split, views, rotations, max_gap, start_jitter,
                        clip_seconds, frame_size, needs)
        self.folder = BinauralFolder(data_root)
        if sample_rate not in (None, self.folder.sample_rate):
            raise ValueError(
                f'{data_root} holds sound at {self.folder.sample_rate} Hz, '
                f'but sample_rate of BinauralClips is {sample_rate}; convert '
                'the data set at that rate, or change the setting.')
        self.split = split
        self.clip_length = round(clip_seconds * self.folder.sample_rate)
        if not self.clip_length:
            raise ValueError(
                f'BinauralClips got clip_seconds={clip_seconds}, less than a '
                f'sample at {self.folder.sample_rate} Hz; give more.')
        self.views = tuple(views)
        self.needs = tuple(needs)
        self.rotations = tuple(rotations)
        self.max_gap = max_gap
        self.every_gap = every_gap
        self.listed_gaps = listed_gaps
        self.pictured = not set(views).isdisjoint(_FILE_OF)
        self.random_yaw = random_yaw and not test_mode and (
            self.folder.panorama or not self.pictured)
        self.jitter = 0 if test_mode else round(start_jitter *
                                                self.folder.sample_rate)
        self.frame_size = tuple(frame_size)
        self.test_mode = test_mode
        self.lengths = self.folder.lengths()
        self._starts = self._starts_of_recordings()
        self.indices = self._usable_rows()

    @property
    def metainfo(self) -> Dict[str, Any]:
        """dict: ``classes``, ``sample_rate``, ``panorama``."""
        return dict(
            classes=self.folder.classes,
            sample_rate=self.folder.sample_rate,
            panorama=self.folder.panorama)

    def __len__(self) -> int:
        return len(self.indices)

    def get_data_info(self, index: int) -> Dict[str, Any]:
        """Get the row of a sample.

        Args:
            index (int): Number of the sample.

        Returns:
            dict: The columns of the index, ``recording_id``, and ``name``
            for messages.
        """
        number = self.indices[index]
        info = self.folder.row(number)
        info['recording_id'] = int(self.folder.recording_id[number])
        info['name'] = self._name(number)
        return info

    def __getitem__(self, index: int) -> Dict[str, Any]:
        """Make a sample.

        Args:
            index (int): Its number.

        Returns:
            dict: ``inputs`` and ``data_samples``, as above.

        Raises:
            UnreadableSampleError: If a file is damaged or missing, or, where
                not in test mode, the clip is digital silence.
        """
        number = self.indices[index]
        columns = self.folder.columns
        recording = columns['recording'][number]
        sound = self.folder.audio(recording)
        headings = columns['headings'][number]
        pairs = len(headings)
        if sound.shape[1] != 2 * pairs:
            raise ValueError(
                f'{self.folder.audio_path(recording)} has {sound.shape[1]} '
                f'channels, but the index {pairs} headings for it; correct '
                'its rows.')
        random = np.random.RandomState(
            hash_ints(number) % 2**32) if self.test_mode else np.random
        jitter = random.randint(-self.jitter, self.jitter +
                                1) if self.jitter else 0
        pair = random.randint(pairs) if self.random_yaw else 0
        rotation = self._draw_rotation(pairs, random)
        gap = self._draw_gap(number, random)
        start = self._start(number, jitter, gap)
        inputs = self._audio(sound, start, pair, pairs, rotation, gap)
        if not self.test_mode and 'clip' in inputs and _silent(inputs['clip']):
            raise UnreadableSampleError(
                f'The clip {self._name(number)} is silent; remove its row.')
        if self.pictured:
            inputs.update(self._pictures(number, headings[pair]))
        return dict(
            inputs=inputs,
            data_samples=self._data_sample(number, start, headings, pair,
                                           rotation, gap))

    def _start(self, number: int, jitter: int, gap: int) -> int:
        """Move the row's start as far as both clips stay inside."""
        moved = int(self.folder.columns['start'][number]) + jitter
        shift = gap * self.clip_length
        last = int(self.lengths[self.folder.recording_id[number]])
        last -= self.clip_length
        return min(max(moved, 0, -shift), last, last - shift)

    def _draw_rotation(self, pairs: int, random) -> int:
        allowed = _rotations(self.rotations, pairs)
        return allowed[random.randint(len(allowed))] if allowed else 0

    def _draw_gap(self, number: int, random) -> int:
        fitting = self._fitting_gaps(number)
        if not fitting:
            return 0
        sizes = sorted({abs(gap) for gap in fitting})
        size = sizes[random.randint(len(sizes))]
        signed = [gap for gap in (-size, size) if gap in fitting]
        return signed[random.randint(len(signed))]

    def _fitting_gaps(self, number: int) -> List[int]:
        """Gaps with which ``shifted`` is a clip of the recording."""
        clip = self.clip_length
        start = int(self.folder.columns['start'][number])
        recording = self.folder.recording_id[number]
        length = int(self.lengths[recording])
        earlier = min(self.max_gap, start // clip)
        later = min(self.max_gap, (length - start) // clip - 1)
        gaps = np.array([*range(-earlier, 0), *range(1, later + 1)], int)
        if self.listed_gaps and len(gaps):
            starts, tolerance = self._starts[recording]
            wanted = start + gaps * clip
            after = np.searchsorted(starts, wanted)
            distance = np.minimum(
                np.abs(starts[np.minimum(after, len(starts) - 1)] - wanted),
                np.abs(starts[np.maximum(after - 1, 0)] - wanted))
            gaps = gaps[distance <= tolerance]
        return gaps.tolist()

    def _starts_of_recordings(self) -> Dict[int, Tuple[np.ndarray, float]]:
        """Where the rows of a recording start, and how near is the same."""
        rows = self.folder.rows(self.split)
        recordings = self.folder.recording_id[rows]
        order = np.lexsort((self.folder.columns['start'][rows], recordings))
        names, first = np.unique(recordings[order], return_index=True)
        parts = np.split(
            np.asarray(self.folder.columns['start'])[rows][order], first[1:])
        near = {}
        for name, starts in zip(names.tolist(), parts):
            starts = np.unique(starts)
            near[name] = starts, (np.diff(starts).min() /
                                  2 if len(starts) > 1 else 0.)
        return near

    def _audio(self, sound: np.ndarray, start: int, pair: int, pairs: int,
               rotation: int, gap: int) -> Dict[str, Tensor]:
        inputs = {}
        if 'clip' in self.views:
            inputs['clip'] = self._slice(sound, start, pair)
        if 'rotated' in self.views:
            inputs['rotated'] = self._slice(sound, start,
                                            (pair + rotation) % pairs)
            if pairs == 1 and rotation:
                inputs['rotated'] = inputs['rotated'].flip(0)
        if 'shifted' in self.views:
            inputs['shifted'] = self._slice(
                sound, start + gap * self.clip_length, pair)
        if 'others' in self.views:
            inputs['others'] = torch.cat([
                self._slice(sound, start, (pair + step) % pairs)
                for step in range(1, pairs)
            ])
        return inputs

    def _slice(self, sound: np.ndarray, start: int, pair: int) -> Tensor:
        part = sound[start:start + self.clip_length, 2 * pair:2 * pair + 2]
        return torch.from_numpy(np.ascontiguousarray(part.T))

    def _pictures(self, number: int, heading: float) -> Dict[str, Tensor]:
        inputs = {}
        columns, folder, size = (self.folder.columns, self.folder,
                                 self.frame_size)

        def packed(picture: np.ndarray) -> Tensor:
            if folder.panorama:
                picture = pictures.turn(picture, heading)
            if picture.ndim == 3:
                picture = picture.transpose(2, 0, 1)
            return torch.from_numpy(np.ascontiguousarray(picture))

        if 'frame' in self.views or 'foreground' in self.views:
            frame = pictures.read_frame(
                folder.path(columns['frame'][number]), size)
        if 'frame' in self.views:
            inputs['frame'] = packed(frame)
        if 'foreground' in self.views:
            mask = pictures.read_map(
                folder.path(columns['foreground'][number]), size)
            inputs['foreground'] = packed(
                pictures.only_foreground(frame, mask))
        if 'labels' in self.views:
            inputs['labels'] = packed(
                pictures.read_map(
                    folder.path(columns['labels'][number]), size))
        return inputs

    def _data_sample(self, number: int, start: int, headings: Tuple[float],
                     pair: int, rotation: int, gap: int) -> DataSample:
        columns = self.folder.columns
        heading = headings[pair]
        turned = headings[(pair + rotation) % len(headings)]
        azimuths = columns['azimuth'][number]
        fields = dict(
            rotation=rotation,
            rotation_angle=fold(turned - heading),
            gap=gap,
            recording=str(columns['recording'][number]),
            recording_id=int(self.folder.recording_id[number]),
            start=start,
            heading=heading,
            pairs=len(headings),
            azimuth=fold(azimuths[0] - heading) if azimuths else float('nan'),
            swap=False)
        sample = DataSample()
        for name, value in fields.items():
            sample.set_field(value, name, field_type='metainfo')
        classes = columns['class'][number]
        if classes:
            sample.set_gt_label(self.folder.classes.index(classes[0]))
        return sample

    def _name(self, number: int) -> str:
        columns = self.folder.columns
        seconds = columns['start'][number] / self.folder.sample_rate
        path = self.folder.audio_path(columns['recording'][number])
        return f'{path} at {seconds:g} s'

    def _usable_rows(self) -> np.ndarray:
        """Rows that can give all views; says what becomes of the others."""
        rows = self.folder.rows(self.split)
        if len(rows) == 0:
            splits = ', '.join(np.unique(self.folder.columns['split']))
            raise ValueError(
                f'{self.folder.root} has no rows of split {self.split!r}; its '
                f'splits are {splits}.')
        faults = [self._fault(number) for number in rows]
        lost = Counter(fault for fault in faults if fault)
        for fault, count in lost.items():
            names = [
                self._name(number)
                for number, its in zip(rows, faults) if its == fault
            ][:5]
            more = ', …' if count > len(names) else ''
            print_log(
                f'{self.folder.root}: {count} of {len(rows)} clips are left '
                f'out, because {fault}: {", ".join(names)}{more}',
                logger='current',
                level=30)
        usable = rows[[not fault for fault in faults]]
        if len(usable) == 0:
            raise ValueError(
                f'No clip of {self.folder.root} ({self.split or "all"}) can '
                f'give {", ".join((*self.views, *self.needs))}, because '
                f'{" or ".join(lost)}; ask for other views, clip_seconds or '
                'max_gap, or set listed_gaps=False where the index has one '
                'clip of each recording.')
        return usable

    def _fault(self, number: int) -> str:
        columns = self.folder.columns
        length = int(self.lengths[self.folder.recording_id[number]])
        start = int(columns['start'][number])
        pairs = len(columns['headings'][number])
        if length < 0:
            return 'the sound file is damaged or cut off'
        if start + self.clip_length > length:
            return (f'{self.clip_length / self.folder.sample_rate:g} s do '
                    'not lie inside the recording')
        if 'shifted' in self.views:
            sizes = {abs(gap) for gap in self._fitting_gaps(number)}
            if len(sizes) < (self.max_gap if self.every_gap else 1):
                return ('the recording is too short for a shifted clip, or '
                        'silent there' if self.listed_gaps else
                        'the recording is too short for a shifted clip')
        if 'rotated' in self.views and not _rotations(self.rotations, pairs):
            return (f'{pairs} headings cannot be rotated by '
                    f'{list(self.rotations)} steps')
        if 'others' in self.views and pairs == 1:
            return 'there is no other heading'
        for view, column in _FILE_OF.items():
            # A foreground is cut out of its frame.
            needs = ('frame', column) if view == 'foreground' else (column, )
            if view in self.views and not all(columns[name][number]
                                              for name in needs):
                return f'the index names no {column} for them'
        for column in self.needs:
            if not columns[column][number]:
                return f'the index has no {column} for them'
        return ''


def _silent(clip: Tensor) -> bool:
    # Hardly a clip gets beyond the first look.
    return not clip[:, ::64].any() and not clip.any()


def _rotations(rotations: Sequence[int], pairs: int) -> List[int]:
    """What k can be with a number of pairs, without accidental zeros."""
    if pairs == 1:
        return sorted({int(step != 0) for step in rotations})
    return sorted({
        step % pairs
        for step in rotations if step % pairs or step == 0
    })


def _whole(numbers: Sequence[Any]) -> bool:
    return all(isinstance(number, Integral) for number in numbers)


def _check_settings(split: str, views: Sequence[str],
                    rotations: Sequence[int], max_gap: int,
                    start_jitter: float, clip_seconds: float,
                    frame_size: Sequence[int],
                    needs: Sequence[str]) -> None:
    unknown = set(views) - set(VIEWS)
    if unknown or not views:
        raise ValueError(
            f'BinauralClips got views={tuple(views)}; give some of '
            f'{", ".join(VIEWS)}.')
    if split not in ('', 'train', 'val', 'test'):
        raise ValueError(f'BinauralClips got split={split!r}; give train, '
                         "val, test, or '' for all.")
    strange = sorted(set(needs) - set(COLUMNS))
    if strange:
        raise ValueError(f'BinauralClips needs {strange[0]!r}, which is no '
                         f'column of the index: give {", ".join(COLUMNS)}.')
    if not rotations or not _whole(rotations):
        raise ValueError(f'BinauralClips got rotations={rotations!r}; give '
                         'whole steps such as (1, 2, 3).')
    if not 0 < clip_seconds < math.inf:
        raise ValueError(f'BinauralClips got clip_seconds={clip_seconds}; '
                         'give seconds, more than 0.')
    if len(frame_size) != 2 or not _whole(frame_size) or min(frame_size) < 1:
        raise ValueError(f'BinauralClips got frame_size={frame_size!r}; give '
                         'height and width in pixels, such as (224, 448).')
    if max_gap < 1 or not _whole((max_gap, )):
        raise ValueError(f'BinauralClips got max_gap={max_gap}; give a whole '
                         'number of clip lengths, at least 1.')
    if not 0 <= start_jitter < math.inf:
        raise ValueError(f'BinauralClips got start_jitter={start_jitter}; '
                         'give seconds, at least 0.')
