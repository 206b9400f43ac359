# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mono sounds that are put into scenes: from files of the user."""
import csv
from functools import lru_cache
from pathlib import Path
from typing import (Callable, Dict, List, NamedTuple, Optional, Sequence,
                    Tuple, Union)

import numpy as np

from mmmultissl.datasets.binaural.audio_io import Resampler, read_audio
from mmmultissl.datasets.binaural.simulate.digest import (digest_of,
                                                          digest_of_values)
from mmmultissl.datasets.binaural.simulate.splits import SPLITS
from mmmultissl.datasets.unreadable import UnreadableSampleError

_SUFFIXES = ('.wav', '.flac', '.ogg', '.mp3', '.aiff', '.aif')
# Frames of this many seconds, fainter than the loudest by more than this many
# decibels, are silence at a file's start and end.
_FRAME, _FAINT = 0.02, 40.
# A sound shorter than this, in seconds, keeps some of the silence after it.
_SHORTEST = 1.
# Which folds of ESC-10 and ESC-50 go to which split; our choice.
ESC_FOLDS = dict(train=(1, 2), val=(3, ), test=(4, ))


class Sound(NamedTuple):
    """A mono sound of one class.

    Args:
        label (str): The class.
        original (str): The recording it was cut from: what may not cross
            splits.
        samples (np.ndarray): float32, shape (T, ), mean square 1.
    """
    label: str
    original: str
    samples: np.ndarray


class FileSounds:
    """Sounds of files, each with its class, original and split.

    Args:
        files (dict[str, dict[str, list[tuple[str, Path]]]]): Of each split
            and class, pairs of original and file.
        sample_rate (int): In Hz; files of another rate are resampled.

    Attributes:
        classes (tuple[str]): In alphabetical order.

    Raises:
        ValueError: If a split lacks a class, or an original is in two.
    """

    def __init__(self, files: Dict[str, Dict[str, List[Tuple[str, Path]]]],
                 sample_rate: int) -> None:
        self.files = files
        self.classes = tuple(
            sorted({label
                    for split in files.values() for label in split}))
        seen: Dict[str, str] = {}
        for split in SPLITS:
            for label in self.classes:
                if not files.get(split, {}).get(label):
                    raise ValueError(
                        f'There is no sound of the class {label} for the '
                        f'split {split}: every class needs originals for '
                        'train, val and test.')
                for original, _ in files[split][label]:
                    if seen.setdefault(original, split) != split:
                        raise ValueError(
                            f'The original recording {original} is in the '
                            f'splits {seen[original]} and {split}: put all '
                            'its files into one.')
        self._to_rate = Resampler(sample_rate)
        self._read = lru_cache(maxsize=512)(self._prepare)

    def draw(self, rng: np.random.Generator, label: str,
             split: Optional[str]) -> Sound:
        """Draw a sound.

        Args:
            rng (np.random.Generator): The source of randomness.
            label (str): Its class.
            split (str, optional): Its split; None for any.

        Returns:
            Sound: Without the silence around it.

        Raises:
            UnreadableSampleError: If the file is damaged or silent.
        """
        splits = SPLITS if split is None else (split, )
        listed = [pair for name in splits for pair in self.files[name][label]]
        original, file = listed[int(rng.integers(len(listed)))]
        return Sound(label, original, self._read(file))

    def digest(
        self,
        progress: Callable[[float], None] = lambda done: None
    ) -> str:
        """Tell these sounds from others, and check the headers of the files.

        Of split, class, original and content of every file of the classes in
        use, in their order, which is all that recordings depend on: the same
        sounds elsewhere have the same digest.

        Args:
            progress (Callable): Called with the part that each file is of
                all. Defaults to doing nothing.

        Returns:
            str: 16 hexadecimal digits.

        Raises:
            FileNotFoundError: If a file is not there.
            UnreadableSampleError: If a header cannot be read or says that
                there is less than 20 ms of sound. Silence and damage behind
                the header are found by :meth:`draw`.
        """
        listed = [(split, label, original, file) for split in SPLITS
                  for label in self.classes
                  for original, file in self.files[split][label]]
        told = []
        for *names, file in listed:
            _check_header(file)
            told.append([*names, digest_of(file)])
            progress(1 / len(listed))
        return digest_of_values(told)

    def _prepare(self, file: Path) -> np.ndarray:
        mono = self._to_rate(*read_audio(file)).mean(1)
        if not mono.any():
            raise UnreadableSampleError(
                f'The sound file {file} is silent; replace or remove it.')
        active = _active(mono, self._to_rate.rate)
        if active is None:
            raise UnreadableSampleError(
                f'The sound file {file} does not sound in any whole stretch '
                f'of {_FRAME * 1000:g} ms; replace or remove it.')
        return active


def folder_sounds(root: Union[str, Path], sample_rate: int) -> FileSounds:
    """Take a folder of sounds: ``root/CLASS/FILE``.

    Every file is an original of its own, unless it lies one folder deeper:
    the files of ``root/CLASS/ORIGINAL/`` are of one. Of the originals of a
    class, in alphabetical order, of every five three go to train, the fourth
    to val, the fifth to test (our choice); with fewer than five the last two
    go to val and test.

    Args:
        root (str | Path): The folder.
        sample_rate (int): In Hz.

    Returns:
        FileSounds: The sounds.

    Raises:
        FileNotFoundError: If there is nothing in it.
        ValueError: If a class has fewer than three originals.
    """
    root = Path(root)
    labels = sorted(path for path in root.glob('*') if path.is_dir())
    if not labels:
        raise FileNotFoundError(
            f'{root} holds no folders of sounds: name a folder with one '
            'folder per class, or one in the layout of ESC-10.')
    files: Dict[str, Dict[str, List[Tuple[str, Path]]]] = {
        split: {}
        for split in SPLITS
    }
    for folder in labels:
        originals: Dict[str, List[Path]] = {}
        for file in sorted(folder.rglob('*')):
            if file.suffix.lower() in _SUFFIXES:
                name = file.relative_to(root).parts[:2]
                originals.setdefault('/'.join(name), []).append(file)
        if len(originals) < len(SPLITS):
            raise ValueError(
                f'{folder} holds {len(originals)} original recordings, but a '
                'class needs three at least, one for each split.')
        for index, (name, of) in enumerate(originals.items()):
            if len(originals) < 5:
                later = index - len(originals) + 3
                split = SPLITS[max(later, 0)]
            else:
                split = ('train', 'train', 'train', 'val', 'test')[index % 5]
            files[split].setdefault(folder.name, []).extend(
                (name, file) for file in of)
    return FileSounds(files, sample_rate)


def esc_sounds(root: Union[str, Path],
               sample_rate: int,
               folds: Optional[Dict[str, Sequence[int]]] = None) -> FileSounds:
    """Take a folder in the layout of ESC-10 and ESC-50 (K. J. Piczak, 2015).

    Args:
        root (str | Path): Holds ``audio`` and ``meta/*.csv`` with the columns
            filename, fold, category and src_file.
        sample_rate (int): In Hz.
        folds (dict[str, Sequence[int]], optional): Of each split. Defaults
            to None: 1 and 2, 3, 4 for train, val, test; a fifth is left out.

    Returns:
        FileSounds: The sounds.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If a column is missing.
    """
    root = Path(root)
    tables = sorted((root / 'meta').glob('esc*.csv'))
    if not tables:
        raise FileNotFoundError(f'{root} has no table meta/esc*.csv: name a '
                                'folder in the layout of ESC-10.')
    of_fold = {
        fold: split
        for split, members in (folds or ESC_FOLDS).items()
        for fold in members
    }
    files: Dict[str, Dict[str, List[Tuple[str, Path]]]] = {
        split: {}
        for split in SPLITS
    }
    with open(tables[0], newline='', encoding='utf-8') as table:
        rows = list(csv.DictReader(table))
    needed = {'filename', 'fold', 'category', 'src_file'}
    if not rows or not needed <= set(rows[0]):
        raise ValueError(f'{tables[0]} lacks one of the columns '
                         f'{", ".join(sorted(needed))}: get it anew.')
    for row in rows:
        try:
            split = of_fold.get(int(row['fold']))
        except (TypeError, ValueError):
            raise ValueError(f'{tables[0]} has the fold {row["fold"]} of '
                             f'{row["filename"]}, which is no number: get it '
                             'anew.') from None
        if split is not None:
            files[split].setdefault(row['category'], []).append(
                (row['src_file'], root / 'audio' / row['filename']))
    return FileSounds(files, sample_rate)


def sounds_of(root: Union[str, Path], sample_rate: int) -> FileSounds:
    """Take a folder in either layout.

    Args:
        root (str | Path): With ``meta/esc*.csv`` it is read by
            :func:`esc_sounds`, else by :func:`folder_sounds`.
        sample_rate (int): In Hz.

    Returns:
        FileSounds: The sounds.
    """
    layout = esc_sounds if (Path(root) / 'meta').is_dir() else folder_sounds
    return layout(root, sample_rate)


def normalised(samples: np.ndarray) -> np.ndarray:
    """Bring a sound to mean square 1.

    Args:
        samples (np.ndarray): Shape (T, ); not silent.

    Returns:
        np.ndarray: float32, shape (T, ).
    """
    power = np.mean(np.square(samples, dtype=np.float64))
    return (samples / np.sqrt(power)).astype(np.float32)


def _check_header(file: Path) -> None:
    try:
        import soundfile
    except ImportError:
        raise ImportError('Reading sound files needs soundfile; install it '
                          'with: pip install soundfile') from None
    if not file.is_file():
        raise FileNotFoundError(f'The sound file {file} does not exist; '
                                'replace or remove it.')
    try:
        header = soundfile.info(str(file))
    except soundfile.LibsndfileError as error:
        raise UnreadableSampleError(
            f'The sound file {file} cannot be read ({error.error_string}); '
            'replace or remove it.') from error
    if header.frames < int(_FRAME * header.samplerate):
        raise UnreadableSampleError(
            f'The sound file {file} has {header.frames} samples at '
            f'{header.samplerate} Hz, but {_FRAME * 1000:g} ms are needed; '
            'replace or remove it.')


def _active(samples: np.ndarray, sample_rate: int) -> Optional[np.ndarray]:
    """Cut away the silence before and after, and normalise the rest.

    None where no whole frame sounds.
    """
    frame = max(int(_FRAME * sample_rate), 1)
    count = len(samples) // frame
    power = np.square(samples[:count * frame]).reshape(count, frame).mean(1)
    if not power.any():
        return None
    loud = np.flatnonzero(power > power.max() * 10**(-_FAINT / 10))
    start, stop = loud[0] * frame, (loud[-1] + 1) * frame
    return normalised(samples[start:max(stop, start +
                                        int(_SHORTEST * sample_rate))])
