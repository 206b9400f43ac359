# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pictures as the binaural folder keeps them: JPEG, PNG for masks."""
import logging
from pathlib import Path
from typing import Dict, Iterator, Tuple

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmmultissl.datasets.binaural.convert.unusable import UnusableFile
from mmmultissl.datasets.transforms.load_image import find_fault

# Artefacts of JPEG are invisible to networks at this quality (our choice).
_QUALITY = 90


def jpeg(picture: np.ndarray) -> bytes:
    """Compress a picture.

    Args:
        picture (np.ndarray): uint8 RGB, (H, W, 3).

    Returns:
        bytes: A JPEG file.
    """
    return _encoded('.jpg', picture[..., ::-1],
                    [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])


def png(picture: np.ndarray) -> bytes:
    """Compress a mask or a map of classes without loss.

    Args:
        picture (np.ndarray): uint8, (H, W).

    Returns:
        bytes: A PNG file.
    """
    return _encoded('.png', picture, [])


def _encoded(suffix: str, picture: np.ndarray, settings: list) -> bytes:
    done, buffer = cv2.imencode(suffix, picture, settings)
    if not done:
        raise ValueError(f'A picture of shape {picture.shape} cannot be '
                         f'written as {suffix}.')
    return buffer.tobytes()


def read_picture(path: Path, height: int) -> np.ndarray:
    """Read a picture and reduce it.

    Args:
        path (Path): An image file.
        height (int): Larger pictures are reduced to it, in pixels.

    Returns:
        np.ndarray: uint8 RGB, (H, W, 3).

    Raises:
        UnusableFile: If it is damaged or cut off.
    """
    content = path.read_bytes()
    # OpenCV fills with grey what a truncated file lacks.
    fault = find_fault(content)
    if fault:
        raise UnusableFile('a picture is damaged', f'{path.name}: {fault}')
    picture = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise UnusableFile('a picture cannot be read', path.name)
    return reduced(picture, height)[..., ::-1]


def read_pictures(paths: Dict[int, Path],
                  height: int) -> Iterator[Tuple[int, np.ndarray]]:
    """Read many; damaged ones are passed over.

    Args:
        paths (dict[int, Path]): Number to image file.
        height (int): Larger pictures are reduced to it, in pixels.

    Yields:
        tuple[int, np.ndarray]: The number and the picture.
    """
    for number, path in paths.items():
        try:
            yield number, read_picture(path, height)
        except UnusableFile as error:
            print_log(
                f'{path} is passed over: {error}.',
                logger='current',
                level=logging.WARNING)


def read_map(path: Path) -> np.ndarray:
    """Read a mask or a map of ids, as it is stored.

    Args:
        path (Path): A file with one channel of 8 bits; of several channels
            the first one counts.

    Returns:
        np.ndarray: uint8, (H, W).

    Raises:
        UnusableFile: If it is damaged or not of 8 bits.
    """
    try:
        with Image.open(path) as picture:
            # Of a palette the numbers count, not the colours.
            ids = np.array(picture)
    except (OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UnusableFile('a mask cannot be read', path.name) from error
    if ids.dtype == bool:
        return ids.astype(np.uint8) * 255
    if ids.dtype != np.uint8:
        raise UnusableFile('a mask is not of 8 bits', path.name)
    return ids if ids.ndim == 2 else np.ascontiguousarray(ids[..., 0])


def reduced(picture: np.ndarray, height: int) -> np.ndarray:
    """Reduce a picture by averaging over areas.

    Args:
        picture (np.ndarray): uint8, (H, W, 3).
        height (int): Larger ones are reduced to it, in pixels.

    Returns:
        np.ndarray: The picture, in the same proportions.
    """
    if picture.shape[0] <= height:
        return picture
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def resized_map(ids: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Bring a map of ids to the size of a picture, by nearest neighbours.

    Args:
        ids (np.ndarray): uint8, (H, W).
        like (np.ndarray): Its picture, (H', W', 3).

    Returns:
        np.ndarray: uint8, (H', W').
    """
    return cv2.resize(
        ids, (like.shape[1], like.shape[0]),
        interpolation=cv2.INTER_NEAREST_EXACT)
