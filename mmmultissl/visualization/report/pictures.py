# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pictures inside the page: as data, each stored once."""
import base64
from typing import Dict, Tuple

import cv2
import numpy as np


def data_uri(image: np.ndarray, quality: int = 85) -> str:
    """Write an image as a JPEG inside an address.

    Args:
        image (np.ndarray): BGR, (H, W, 3), uint8.
        quality (int): Of the JPEG, 0 to 100. Defaults to 85.

    Returns:
        str: ``data:image/jpeg;base64,...``.
    """
    good, content = cv2.imencode('.jpg', image,
                                 (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not good:
        raise ValueError(f'An image of shape {image.shape} cannot be encoded '
                         'as JPEG.')
    return ('data:image/jpeg;base64,' +
            base64.b64encode(content.tobytes()).decode())


class Thumbnails:
    """Small pictures that several sections show, as classes of the style.

    Args:
        size (int): Their sides in pixels. Defaults to 64.
    """

    def __init__(self, size: int = 64) -> None:
        self.size = size
        self._rules: Dict[str, Tuple[str, str]] = {}

    def add(self, path: str) -> str:
        """Store the middle square of an image file.

        Args:
            path (str): The file.

        Returns:
            str: The class of an element that shows it.

        Raises:
            FileNotFoundError: If it cannot be read.
        """
        if path not in self._rules:
            image = read_image(path)
            side = min(image.shape[:2])
            top, left = ((length - side) // 2 for length in image.shape[:2])
            square = image[top:top + side, left:left + side]
            small = cv2.resize(
                square, (self.size, self.size), interpolation=cv2.INTER_AREA)
            name = f'i{len(self._rules)}'
            self._rules[path] = (
                name, f'.{name}{{background-image:url({data_uri(small)})}}')
        return self._rules[path][0]

    def style(self) -> str:
        """Write the style.

        Returns:
            str: CSS.
        """
        return '\n'.join(rule for _, rule in self._rules.values())


def read_image(path: str) -> np.ndarray:
    """Read an image file.

    Args:
        path (str): The file.

    Returns:
        np.ndarray: BGR, (H, W, 3), uint8.

    Raises:
        FileNotFoundError: If it cannot be read.
    """
    image = cv2.imread(path)
    if image is None:
        raise FileNotFoundError(f'The image {path} cannot be read: put the '
                                'data set back where the runs found it.')
    return image
