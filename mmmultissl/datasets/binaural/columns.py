# Copyright (c) mmmultissl contributors. All rights reserved.
"""The columns of a binaural folder's ``index.csv``, and their texts."""
from typing import Any, Dict, Tuple

import numpy as np

SPLITS = ('train', 'val', 'test')
# Version of the format, in dataset.json.
FORMAT = 1
INFO_FILE, INDEX_FILE, SKIPPED_FILE = ('dataset.json', 'index.csv',
                                       'skipped.csv')


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError('it is negative')
    if number > np.iinfo(np.int64).max:
        raise ValueError('no recording is that long')
    return number


def _angles(text: str) -> Tuple[float, ...]:
    return tuple(_angle(word) for word in text.split())


def _angle(word: str) -> float:
    angle = float(word)
    if not -180 <= angle <= 360:
        raise ValueError('angles are degrees, positive to the left')
    return fold(angle)


def _words(text: str) -> Tuple[str, ...]:
    return tuple(text.split())


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f'it is none of {", ".join(SPLITS)}')
    return text


# Column -> what reads its text. The order is that of the file.
READERS = {
    'recording': str,
    'source_recording': str,
    'start': _whole,
    'frame': str,
    'headings': _angles,
    'split': _split,
    'azimuth': _angles,
    'class': _words,
    'foreground': str,
    'labels': str,
}
COLUMNS = tuple(READERS)


def fold(angle: float) -> float:
    """Bring an angle into (-180, 180].

    Args:
        angle (float): In degrees.

    Returns:
        float: The same direction; 180 for behind.
    """
    if -180 < angle <= 180:
        return angle
    return 180. - (180. - angle) % 360.


def parse_row(texts: Dict[str, str]) -> Dict[str, Any]:
    """Read the texts of a row.

    Args:
        texts (dict[str, str]): Column to text.

    Returns:
        dict: Column to value, of the types in docs/binaural_data.md.

    Raises:
        ValueError: If a text is not of its column's type.
    """
    row = {}
    for column, read in READERS.items():
        try:
            row[column] = read(texts[column])
        except ValueError as error:
            raise ValueError(
                f'{column} is {texts[column]!r}: {error}') from None
    return row


def format_row(row: Dict[str, Any]) -> Dict[str, str]:
    """Write the values of a row as texts.

    Args:
        row (dict): Column to value; lists become words with spaces between.

    Returns:
        dict[str, str]: Column to text.
    """
    return {column: _text(row[column]) for column in COLUMNS}


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list, np.ndarray)):
        return ' '.join(_text(part) for part in value)
    if isinstance(value, (float, np.floating)):
        # The shortest text that reads back as the same number.
        value = float(value)
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
