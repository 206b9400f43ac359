# Copyright (c) mmmultissl contributors. All rights reserved.
"""Writing a binaural folder so that it can be interrupted anywhere."""
import csv
import fcntl
import io
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from mmmultissl.datasets.binaural.columns import (COLUMNS, FORMAT, INDEX_FILE,
                                                  INFO_FILE, SKIPPED_FILE,
                                                  format_row, parse_row)

_JOURNAL = '.unfinished.jsonl'
_SKIPPED_COLUMNS = ('file', 'reason', 'recording')


class BinauralWriter:
    """Writes a binaural folder, recording by recording.

    A recording is finished or absent: its files are on the disk before one
    line in a journal says so, and :meth:`close` makes the index of the
    journal. A run that was killed is repeated with the same settings; it
    asks ``name in writer`` and leaves out what is finished. The rows come
    sorted by recording and start, so that the result is the same as without
    the interruption. Recordings can be added to a finished folder, too.

    Use it in a ``with`` statement: the index is written at its end, and
    after an exception the journal stays for the next run.

    Args:
        root (str | Path): The folder; it is made.
        sample_rate (int): Samples per second of all recordings.
        headings (Sequence[float]): Heading of each binaural pair relative to
            the frame's front, in degrees, positive to the left; rows can
            have others. Defaults to (0, ), one pair.
        panorama (bool): Whether frames show all 360 degrees.
            Defaults to False.
        field_of_view (float, optional): Width of the frames in degrees,
            where it is known. Defaults to None; 360 for panoramas.
        classes (Sequence[str]): Names of the classes, without blanks.
            Defaults to none.
        source (str): Where the data come from, in words. Defaults to ''.
        **info: Further settings for ``dataset.json``, such as a seed; all of
            them must be the same when a run is continued.

    Raises:
        ValueError: If the folder was begun with other settings, or a setting
            cannot be used.
        BlockingIOError: If another process writes to the folder.
    """

    def __init__(self,
                 root: Union[str, Path],
                 sample_rate: int,
                 headings: Sequence[float] = (0., ),
                 panorama: bool = False,
                 field_of_view: Optional[float] = None,
                 classes: Sequence[str] = (),
                 source: str = '',
                 **info: Any) -> None:
        if sample_rate <= 0 or int(sample_rate) != sample_rate:
            raise ValueError(f'BinauralWriter got sample_rate={sample_rate}; '
                             'give whole samples per second.')
        for name in classes:
            if name.split() != [name]:
                raise ValueError(
                    f'BinauralWriter got the class {name!r}; the index '
                    'separates classes by blanks, so write it with "_".')
        self.root = Path(root)
        self.sample_rate = int(sample_rate)
        self.headings = tuple(float(angle) for angle in headings)
        self.classes = tuple(classes)
        if panorama and field_of_view is None:
            field_of_view = 360.
        settings = dict(
            format=FORMAT,
            sample_rate=self.sample_rate,
            panorama=bool(panorama),
            field_of_view=field_of_view,
            classes=list(self.classes),
            source=source,
            **info)
        # Recording -> its rows and what of it was left out.
        self._recordings: Dict[str, Tuple[List[dict], List[list]]] = {}
        # Whole files, which a continued run meets again.
        self._skipped: Dict[str, str] = {}
        self.root.mkdir(parents=True, exist_ok=True)
        self._journal = open(self.root / _JOURNAL, 'a+b')
        try:
            self._lock()
            try:
                self._write_settings(settings)
                self._read_finished()
                self._read_journal()
            except BaseException:
                if not os.fstat(self._journal.fileno()).st_size:
                    # A folder that is refused stays as it was.
                    (self.root / _JOURNAL).unlink()
                raise
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> 'BinauralWriter':
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.close()
        else:
            self._journal.close()

    def __contains__(self, name: str) -> bool:
        """Whether a recording is finished."""
        return name in self._recordings

    def __len__(self) -> int:
        """Number of finished recordings."""
        return len(self._recordings)

    def add_recording(
            self,
            name: str,
            audio: np.ndarray,
            rows: Sequence[Mapping[str, Any]],
            files: Optional[Mapping[str, bytes]] = None,
            skipped: Sequence[Tuple[str, str]] = ()) -> None:
        """Write a recording, its pictures and its rows.

        Args:
            name (str): Stem of the audio file; may have folders before it.
            audio (np.ndarray): int16, (samples, 2 * pairs): left and right of
                the first pair, of the second one, ...
            rows (Sequence[dict]): Its anchors by column. ``start`` and
                ``split`` are needed; ``recording`` is the name,
                ``source_recording`` defaults to it, ``headings`` to the
                writer's, the others to empty.
            files (dict[str, bytes], optional): Contents of frames, masks and
                labels by path relative to the folder. Defaults to None.
            skipped (Sequence[tuple[str, str]]): What of the recording was
                left out, such as a frame, each with the reason.
                Defaults to none.

        Raises:
            ValueError: If the recording is finished already, or does not fit
                the format.
        """
        if name in self:
            raise ValueError(
                f'The recording {name!r} is in {self.root} already; ask '
                '"name in writer" before making it.')
        files = files or {}
        _check_audio(name, audio)
        finished = [self._complete(name, row) for row in rows]
        for row in finished:
            self._check_row(row, audio)
        if not finished:
            raise ValueError(f'The recording {name!r} has no rows; skip() it '
                             'with the reason instead.')
        for relative in (f'audio/{name}.npy', *files):
            if os.path.isabs(relative) or '..' in Path(relative).parts:
                raise ValueError(f'The path {relative!r} leads out of the '
                                 'folder; give one relative to it.')
        paths = [self.root / relative for relative in files]
        for path, content in zip(paths, files.values()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sound = self.root / 'audio' / f'{name}.npy'
        sound.parent.mkdir(parents=True, exist_ok=True)
        with open(sound, 'wb') as file:
            np.save(file, np.ascontiguousarray(audio), allow_pickle=False)
        # First all writes, then all syncs: the first of these does most of
        # the work of the others.
        for path in (sound, *paths):
            _sync(path)
        for folder in {path.parent for path in (sound, *paths)}:
            _sync(folder)
        left_out = [list(pair) for pair in skipped]
        self._append(dict(name=name, rows=finished, skipped=left_out))
        self._recordings[name] = finished, left_out

    def skip(self, file: str, reason: str) -> None:
        """Note a source that gives no recording.

        It is not remembered when a run is continued, since that run meets it
        again, perhaps mended.

        Args:
            file (str): What the user calls it.
            reason (str): In few words; what differs from file to file comes
                in parentheses at the end, so that equal reasons are counted
                together.
        """
        self._skipped[str(file)] = reason

    def skipped(self) -> List[Tuple[str, str, str]]:
        """What was left out so far.

        Returns:
            list[tuple[str, str, str]]: File, reason and recording ('' where
            all of the file was left out), sorted.
        """
        parts = [(file, reason, name)
                 for name, (_, left_out) in self._recordings.items()
                 for file, reason in left_out]
        whole = [(file, reason, '') for file, reason in self._skipped.items()]
        return sorted(parts + whole)

    def summary(self) -> str:
        """Say what was written and what was skipped, by reason.

        Returns:
            str: One line, and one more for each reason.
        """
        rows = sum(len(rows) for rows, _ in self._recordings.values())
        lines = [f'{self.root}: {len(self)} recordings, {rows} clips']
        reasons = Counter()
        for file, reason, _ in self.skipped():
            # One line may stand for several clips, masks or headings.
            several = re.search(r': (\d+) of \d+ [^:]*$', file)
            reasons[reason.split(' (')[0]] += int(
                several[1]) if several else 1
        lines += [
            f'  {"noted" if reason.startswith("kept") else "skipped"} '
            f'{count}: {reason}' for reason, count in reasons.most_common()
        ]
        if reasons:
            lines.append(f'  all of them are named in '
                         f'{self.root / SKIPPED_FILE}')
        return '\n'.join(lines)

    def close(self) -> None:
        """Write index and list of skipped files, and print the summary.

        Raises:
            ValueError: If no recording was written.
        """
        # Here, because the engine's loops import mmmultissl.datasets.
        from mmmultissl.engine.atomic_save import write_text_atomically
        skipped = self.skipped()
        write_text_atomically(
            _table(_SKIPPED_COLUMNS, skipped), self.root / SKIPPED_FILE)
        print(self.summary(), flush=True)
        if not self._recordings:
            self._journal.close()
            raise ValueError(
                f'{self.root} got no recording: all {len(skipped)} sources '
                f'were skipped, see {self.root / SKIPPED_FILE}.')
        rows = [
            row for name in sorted(self._recordings)
            for row in sorted(
                self._recordings[name][0], key=lambda row: int(row['start']))
        ]
        write_text_atomically(
            _table(COLUMNS, [[row[column] for column in COLUMNS]
                             for row in rows]), self.root / INDEX_FILE)
        # After the index has its lines, not before.
        (self.root / _JOURNAL).unlink()
        self._journal.close()

    def _complete(self, name: str, row: Mapping[str, Any]) -> Dict[str, str]:
        unknown = set(row) - set(COLUMNS)
        if unknown:
            raise ValueError(f'The recording {name!r} has a row with '
                             f'{sorted(unknown)[0]!r}; the columns are '
                             f'{", ".join(COLUMNS)}.')
        defaults = dict.fromkeys(COLUMNS, '')
        defaults.update(source_recording=name, headings=self.headings)
        return format_row({**defaults, **row, 'recording': name})

    def _check_row(self, row: Dict[str, str], audio: np.ndarray) -> None:
        name = row['recording']
        try:
            values = parse_row(row)
        except ValueError as error:
            raise ValueError(f'The recording {name!r} has a row whose '
                             f'{error}.') from None
        if 2 * len(values['headings']) != audio.shape[1]:
            raise ValueError(
                f'The recording {name!r} has {audio.shape[1]} channels, but '
                f'{len(values["headings"])} headings; every heading has two.')
        if values['start'] >= len(audio):
            raise ValueError(
                f'The recording {name!r} has a row that starts at sample '
                f'{values["start"]}, but {len(audio)} samples.')
        strange = set(values['class']) - set(self.classes)
        if strange:
            raise ValueError(f'The recording {name!r} has a row of class '
                             f'{sorted(strange)[0]!r}, which is not among the '
                             "writer's classes.")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f'Another process writes to {self.root}; wait for its end, '
                'or choose another folder.') from None

    def _write_settings(self, settings: dict) -> None:
        from mmmultissl.engine.atomic_save import write_text_atomically
        path = self.root / INFO_FILE
        # As it comes back from the file, where tuples are lists.
        settings = json.loads(json.dumps(settings))
        if path.is_file():
            begun = json.loads(path.read_text(encoding='utf-8'))
            name, old, new = _difference('', begun, settings)
            if name:
                raise ValueError(
                    f'{self.root} was begun with {name}={old!r}, but now it '
                    f'is {new!r}; use the same, or another folder.')
            return
        write_text_atomically(json.dumps(settings, indent=2) + '\n', path)

    def _read_finished(self) -> None:
        """Take over the recordings of a finished folder."""
        path = self.root / INDEX_FILE
        if not path.is_file():
            return
        with open(path, encoding='utf-8', newline='') as file:
            for row in csv.DictReader(file):
                rows, _ = self._recordings.setdefault(row['recording'],
                                                      ([], []))
                rows.append(row)
        # What was deleted is made again.
        for name in [*self._recordings]:
            if not (self.root / 'audio' / f'{name}.npy').is_file():
                del self._recordings[name]
        path = self.root / SKIPPED_FILE
        if not path.is_file():
            return
        with open(path, encoding='utf-8', newline='') as file:
            for row in csv.DictReader(file):
                if row['recording'] in self:
                    self._recordings[row['recording']][1].append(
                        [row['file'], row['reason']])

    def _read_journal(self) -> None:
        """Take over what an interrupted run has finished."""
        self._journal.seek(0)
        whole = 0
        for line in self._journal:
            if not line.endswith(b'\n'):
                # Cut off by a kill; the recording is made again.
                break
            entry = json.loads(line)
            self._recordings[entry['name']] = entry['rows'], entry['skipped']
            whole += len(line)
        self._journal.truncate(whole)

    def _append(self, entry: dict) -> None:
        self._journal.write(json.dumps(entry).encode() + b'\n')
        self._journal.flush()
        os.fsync(self._journal.fileno())


def _difference(name: str, old: Any, new: Any) -> Tuple[str, Any, Any]:
    """Find the first setting, however deep, that is not the same.

    Returns:
        tuple[str, Any, Any]: Its dotted name, '' if there is none, and what
        it was and is.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**new, **old}:
            # None and nothing are the same.
            found = _difference(f'{name}.{key}' if name else key,
                                old.get(key), new.get(key))
            if found[0]:
                return found
        return '', old, new
    return ('' if old == new else name), old, new


def _check_audio(name: str, audio: np.ndarray) -> None:
    if audio.dtype != np.int16 or audio.ndim != 2:
        raise ValueError(
            f'The recording {name!r} is {audio.dtype} of shape {audio.shape}; '
            'give int16 of shape (samples, 2 * pairs).')
    if audio.shape[1] == 0 or audio.shape[1] % 2:
        raise ValueError(
            f'The recording {name!r} has {audio.shape[1]} channels; binaural '
            'sound has two for every heading.')
    if len(audio) == 0:
        raise ValueError(f'The recording {name!r} is empty; skip() it.')


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
