# Copyright (c) mmmultissl contributors. All rights reserved.
"""Reading a binaural folder: settings, index, memory-mapped sound."""
import csv
import io
import json
import os
from pathlib import Path
from typing import Any, Dict, List, Union

import numpy as np

from mmmultissl.datasets.binaural.columns import (COLUMNS, FORMAT, INDEX_FILE,
                                                  INFO_FILE, parse_row)
from mmmultissl.datasets.unreadable import UnreadableSampleError

# Maps that stay open per process; Linux allows about 65,000.
_OPEN_MAPS = 4096


class BinauralFolder:
    """A data set of binaural recordings, as docs/binaural_data.md has it.

    Reading it looks at the settings and the index only, and at whether the
    audio files exist. Sound stays on the disk until it is sliced.

    Args:
        root (str | Path): The folder, with ``dataset.json``, ``index.csv``
            and ``audio/``.

    Attributes:
        info (dict): The contents of ``dataset.json``.
        sample_rate (int): Samples per second.
        panorama (bool): Whether frames show all 360 degrees.
        field_of_view (float | None): Width of the frames, in degrees.
        classes (tuple[str]): Names of the classes; of pixel labels, value
            ``c + 1`` is ``classes[c]``, 0 background, 255 ignored.
        recordings (tuple[str]): Names, sorted; ``recording_id`` counts here.
        recording_id (np.ndarray): int64, (rows, ).
        columns (dict): Column to values of all rows: ``start`` as int64,
            texts as arrays of text, ``headings``, ``azimuth`` and ``class``
            as lists of tuples.

    Raises:
        FileNotFoundError: If one of these files is missing.
        ValueError: If one cannot be used; the message names the line.
    """

    def __init__(self, root: Union[str, Path]) -> None:
        self.root = Path(root)
        self.info = _read_info(self.root)
        self.sample_rate = int(self.info['sample_rate'])
        self.panorama = bool(self.info.get('panorama', False))
        self.field_of_view = self.info.get('field_of_view')
        self.classes = tuple(self.info.get('classes', ()))
        rows = _read_index(self.root, self.classes)
        self.recordings = tuple(sorted({row['recording'] for row in rows}))
        ids = {name: number for number, name in enumerate(self.recordings)}
        self.recording_id = np.array([ids[row['recording']] for row in rows],
                                     np.int64)
        self.columns = {
            column: _column(column, [row[column] for row in rows])
            for column in COLUMNS
        }
        self._maps: Dict[str, np.ndarray] = {}
        self._check_audio_files()

    def __len__(self) -> int:
        return len(self.recording_id)

    def __getstate__(self) -> dict:
        # A pickled memory map would be the whole recording.
        return dict(self.__dict__, _maps={})

    def rows(self, split: str) -> np.ndarray:
        """Numbers of the rows of a split.

        Args:
            split (str): ``'train'``, ``'val'`` or ``'test'``; '' for all.

        Returns:
            np.ndarray: int64, ascending.
        """
        if not split:
            return np.arange(len(self))
        return np.flatnonzero(self.columns['split'] == split)

    def row(self, index: int) -> Dict[str, Any]:
        """Get a row.

        Args:
            index (int): Its number.

        Returns:
            dict: Column to value.
        """
        row = {name: values[index] for name, values in self.columns.items()}
        return {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
        }

    def path(self, relative: str) -> Path:
        """Path of a file that the index names.

        Args:
            relative (str): As in the index.

        Returns:
            Path: Below the current working directory or absolute, as root is.
        """
        return self.root / relative

    def audio_path(self, recording: str) -> Path:
        """Path of a recording's sound.

        Args:
            recording (str): Its name.

        Returns:
            Path: An ``.npy`` file.
        """
        return self.root / 'audio' / f'{recording}.npy'

    def audio(self, recording: str) -> np.ndarray:
        """Open a recording; a slice of it is all that is read.

        Args:
            recording (str): Its name.

        Returns:
            np.ndarray: int16, (samples, channels), read-only, mapped.

        Raises:
            UnreadableSampleError: If the file is damaged or cut off.
            ValueError: If it is not of the format.
        """
        sound = self._maps.get(recording)
        if sound is None:
            if len(self._maps) >= _OPEN_MAPS:
                self._maps.clear()
            sound = self._maps[recording] = open_audio(
                self.audio_path(recording))
        return sound

    def lengths(self) -> np.ndarray:
        """Samples of every recording, from the heads of the files.

        Returns:
            np.ndarray: int64, one per entry of ``recordings``; -1 where the
            file is damaged or cut off.
        """
        lengths = np.full(len(self.recordings), -1, np.int64)
        for number, recording in enumerate(self.recordings):
            try:
                lengths[number] = len(open_audio(self.audio_path(recording)))
            except UnreadableSampleError:
                # Said by whoever finds the -1, with the rows it concerns.
                continue
        return lengths

    def _check_audio_files(self) -> None:
        missing = [
            name for name in self.recordings
            if not self.audio_path(name).is_file()
        ]
        if missing:
            raise FileNotFoundError(
                f'{self.root / INDEX_FILE} names {len(self.recordings)} '
                f'recordings, but {len(missing)} of them have no sound, such '
                f'as {self.audio_path(missing[0])}; copy the folder again, or '
                'remove their rows.')


def open_audio(path: Path) -> np.ndarray:
    """Map a file of int16 sound into memory.

    Args:
        path (Path): An ``.npy`` file.

    Returns:
        np.ndarray: int16, (samples, channels), read-only.

    Raises:
        UnreadableSampleError: If the file is damaged or cut off.
        ValueError: If it holds something else.
    """
    try:
        sound = np.load(path, mmap_mode='r', allow_pickle=False)
    except FileNotFoundError:
        raise
    # Of a file that is cut off in its header or in its samples.
    except (ValueError, OSError, EOFError) as error:
        raise UnreadableSampleError(
            f'The recording {path} cannot be read ({error}); write it again '
            'or remove its rows from the index.') from error
    if sound.dtype != np.int16 or sound.ndim != 2 or sound.shape[1] % 2:
        raise ValueError(
            f'The recording {path} holds {sound.dtype} of shape '
            f'{sound.shape}, but pairs of ears are int16 of shape (samples, '
            '2 * pairs); write it with BinauralWriter.')
    return sound


def _read_info(root: Path) -> dict:
    path = root / INFO_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist, so {root} is no binaural folder; give '
            'one that a converter or the simulator has finished '
            '(docs/binaural_data.md).')
    try:
        info = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(
            f'{path} is not JSON ({error}); write it again.') from None
    if not isinstance(info, dict):
        raise ValueError(f'{path} holds a {type(info).__name__}, not the '
                         'settings of a folder by name; write it again.')
    if info.get('format') != FORMAT:
        raise ValueError(
            f'{path} says format {info.get("format")!r}, but this version '
            f'reads format {FORMAT}; convert the data set again.')
    rate = info.get('sample_rate')
    if type(rate) is not int or rate < 1:
        raise ValueError(
            f'{path} has sample_rate={rate!r}; set it to the whole '
            'number of samples per second of audio/.')
    return info


def _read_index(root: Path, classes: tuple) -> List[Dict[str, Any]]:
    path = root / INDEX_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f'{path} does not exist: the converter was interrupted; run it '
            'again, and it goes on where it stood.')
    rows, split_of, line_of = [], {}, {}
    try:
        # A table program may have put a mark of the byte order first.
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is no text in UTF-8 ({error}); save it as '
                         'that, or write it again.') from None
    with io.StringIO(text, newline='') as file:
        reader = csv.DictReader(file)
        absent = set(COLUMNS) - set(reader.fieldnames or ())
        if absent:
            raise ValueError(
                f'{path} lacks the column {sorted(absent)[0]!r}; its first '
                f'line must name {",".join(COLUMNS)}.')
        for texts in reader:
            where = f'{path}, line {reader.line_num}'
            if None in texts or None in texts.values():
                raise ValueError(
                    f'{where}: it has not as many fields as the first line; '
                    'correct it.')
            try:
                row = parse_row(texts)
                _check_row(row, classes)
            except ValueError as error:
                raise ValueError(f'{where}: {error}; correct it.') from None
            row['source_recording'] = (
                row['source_recording'] or row['recording'])
            other = split_of.setdefault(row['source_recording'], row['split'])
            if other != row['split']:
                raise ValueError(
                    f'{where}: the source recording '
                    f'{row["source_recording"]!r} is in {row["split"]} and '
                    f'in {other}; keep it in one split.')
            same = tuple(row[column] for column in ('recording', 'start'))
            if same in line_of:
                raise ValueError(
                    f'{where}: line {line_of[same]} has that start of that '
                    'recording too; remove one of them.')
            line_of[same] = reader.line_num
            rows.append(row)
    if not rows:
        raise ValueError(f'{path} has no rows; every file was skipped, see '
                         f'{root / "skipped.csv"}.')
    return rows


def _check_row(row: Dict[str, Any], classes: tuple) -> None:
    if not row['recording'] or os.path.isabs(row['recording']):
        raise ValueError(f'recording is {row["recording"]!r}, not the name '
                         'of a file in audio/')
    if not row['headings']:
        raise ValueError('headings are empty; a single pair has 0')
    if len({*row['headings']}) < len(row['headings']):
        raise ValueError('a heading is there twice; give each pair its own')
    for name in row['class']:
        if name not in classes:
            raise ValueError(f'class {name!r} is not among the classes of '
                             f'{INFO_FILE}')


def _column(name: str, values: list):
    if name == 'start':
        return np.array(values, np.int64)
    if name in ('headings', 'azimuth', 'class'):
        # Most rows share few different tuples: one object for each.
        seen: Dict[tuple, tuple] = {}
        return [seen.setdefault(value, value) for value in values]
    return np.array(values)
