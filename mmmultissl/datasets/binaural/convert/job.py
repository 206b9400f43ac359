# Copyright (c) mmmultissl contributors. All rights reserved.
"""What all converters share: take sources one by one into the folder."""
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from mmmultissl.datasets.binaural.convert.unusable import UnusableFile
from mmmultissl.datasets.binaural.writer import BinauralWriter
from mmmultissl.evaluation.svm.report import Progress


class Recording(NamedTuple):
    """One recording, ready to be written.

    Attributes:
        audio (np.ndarray): int16, (samples, 2 * pairs).
        rows (list[dict]): Its anchors, by the columns of ``index.csv``.
        files (dict[str, bytes]): Pictures, masks and labels by their paths
            relative to the folder.
        left_out (list[tuple[str, str]]): What of it was left out, each with
            the reason.
    """
    audio: np.ndarray
    rows: List[dict]
    files: Dict[str, bytes]
    left_out: List[Tuple[str, str]]


class Source(NamedTuple):
    """Something that becomes a recording.

    Attributes:
        name (str): Of the recording; no other source has it.
        path (str): What the user calls it, for the list of what is skipped.
        size (int): Bytes to read, for the time left.
        read (Callable[[], Recording]): Makes the recording.
    """
    name: str
    path: str
    size: int
    read: Callable[[], Recording]


def run(writer: BinauralWriter, sources: Sequence[Source]) -> None:
    """Convert what is not finished yet, and show the time left.

    Args:
        writer (BinauralWriter): Of the folder; sources that cannot be used
            are named to it.
        sources (Sequence[Source]): All of them, finished ones too.

    Raises:
        ValueError: If two of them would be the same recording.
    """
    path_of: Dict[str, str] = {}
    for source in sources:
        other = path_of.setdefault(source.name, source.path)
        if other != source.path:
            raise ValueError(
                f'{other} and {source.path} would both be the recording '
                f'{source.name!r}; rename one of them.')
    left = [source for source in sources if source.name not in writer]
    if len(left) < len(sources):
        print(
            f'{len(sources) - len(left)} of {len(sources)} recordings are '
            'finished already.',
            flush=True)
    # An empty file has its share of the work, too.
    progress = Progress(f'Converting {len(left)} recordings',
                        sum(source.size + 1 for source in left))
    for source in left:
        try:
            recording = source.read()
        except UnusableFile as error:
            writer.skip(source.path, str(error))
        else:
            writer.add_recording(
                source.name, recording.audio, recording.rows, recording.files,
                [(f'{source.path}{what and f": {what}"}', reason)
                 for what, reason in recording.left_out])
        progress(source.size + 1)
