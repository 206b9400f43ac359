# Copyright (c) mmmultissl contributors. All rights reserved.
"""Frames of clips, with directions drawn into them."""
from html import escape
from typing import List, NamedTuple, Sequence

import cv2
import numpy as np
from mmpretrain.structures import DataSample

from mmmultissl.datasets.binaural import pictures
from mmmultissl.datasets.binaural.clips import BinauralClips
from mmmultissl.datasets.binaural.columns import fold
from mmmultissl.datasets.binaural.simulate.panorama import column_of

from ..pictures import data_uri


class Mark(NamedTuple):
    """A direction in a frame.

    Attributes:
        azimuth (float): In degrees, relative to where the head looks.
        name (str): What it is, plain text; '' writes nothing.
        colour (str): CSS colour.
        dashed (bool): Whether it is a guess. Defaults to False.
    """
    azimuth: float
    name: str
    colour: str
    dashed: bool = False


def frame_of(clips: BinauralClips,
             number: int,
             heading: float,
             width: int = 320) -> np.ndarray:
    """Read the frame of a clip; a panorama is turned to a heading.

    Where the index names no frame, it is grey.

    Args:
        clips (BinauralClips): The clips.
        number (int): Of the clip.
        heading (float): Where the head looks, in degrees.
        width (int): Of the result, in pixels; its height follows from the
            shape of the clips' frames. Defaults to 320.

    Returns:
        np.ndarray: BGR, (H, W, 3), uint8.
    """
    info = clips.get_data_info(number)
    size = (round(width * clips.frame_size[0] / clips.frame_size[1]), width)
    if not info['frame']:
        return np.full((*size, 3), 128, np.uint8)
    frame = pictures.read_frame(clips.folder.path(info['frame']), size)
    if clips.folder.panorama:
        frame = pictures.turn(frame, heading)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)


def true_marks(clips: BinauralClips, number: int, sample: DataSample,
               colour: str) -> List[Mark]:
    """Mark what sounds in a clip.

    Args:
        clips (BinauralClips): The clips.
        number (int): Of the clip.
        sample (DataSample): Its ``heading`` is used.
        colour (str): CSS colour of all marks.

    Returns:
        list[Mark]: The sources that the index knows, the loudest first.
    """
    info = clips.get_data_info(number)
    names = info['class'] or ('source', ) * len(info['azimuth'])
    return [
        Mark(fold(azimuth - sample.heading), name, colour)
        for azimuth, name in zip(info['azimuth'], names)
    ]


def marked_frame(frame: np.ndarray, marks: Sequence[Mark],
                 panorama: bool) -> str:
    """Draw directions into a frame.

    Args:
        frame (np.ndarray): BGR, (H, W, 3), uint8.
        marks (Sequence[Mark]): The directions.
        panorama (bool): Whether the frame is one; into others nothing is
            drawn, for nobody knows which column is which direction.

    Returns:
        str: SVG.
    """
    height, width = frame.shape[:2]
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role=img>'
        f'<image href="{data_uri(frame)}" width="{width}" '
        f'height="{height}"/>'
    ]
    for row, mark in enumerate(marks if panorama else ()):
        column = column_of(mark.azimuth, width)
        dashes = ' stroke-dasharray="5 4"' if mark.dashed else ''
        under = '#fff' if mark.dashed else '#000'
        # Names stay inside the picture.
        left = column < width * .7
        parts.append(
            f'<path d="M{column:.1f} 0V{height}" stroke={under} '
            'stroke-opacity=".6" stroke-width=4 />'
            f'<path d="M{column:.1f} 0V{height}" stroke-width=2 '
            f'style="stroke:{mark.colour}"{dashes}/>'
            f'<text class=label x="{column + (5 if left else -5):.1f}" '
            f'y="{15 + 15 * row}" text-anchor={"start" if left else "end"}>'
            f'{escape(mark.name)}</text>')
    return ''.join(parts) + '</svg>'
