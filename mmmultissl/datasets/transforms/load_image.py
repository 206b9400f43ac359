# Copyright (c) mmmultissl contributors. All rights reserved.
"""Image loading that refuses a file that ends before its picture does."""
import struct
from typing import Optional

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio

from mmmultissl.registry import TRANSFORMS

_JPEG_START = b'\xff\xd8'
_JPEG_END = b'\xff\xd9'
_PNG_START = b'\x89PNG\r\n\x1a\n'
# Without a length: a stuffed zero, TEM and the restart markers.
_JPEG_BARE = {0x00, 0x01, *range(0xD0, 0xD8)}


class UnreadableImageError(ValueError):
    """The contents of an image file cannot be decoded as a whole picture."""


def _jpeg_fault(content: bytes) -> Optional[str]:
    """Walk the segments from SOI to the first scan, then look for the EOI.

    APPn segments are jumped over by their lengths, so the end marker of an
    embedded thumbnail does not count. Inside a scan ``FF`` is always followed
    by a stuffed ``00`` or a restart marker, so ``FF D9`` there is the end.
    ITU-T T.81, annex B.
    """
    size = len(content)
    position = 2
    while True:
        # Like libjpeg: go to the next FF, for stray bytes between segments do
        # no harm, and over any number of fill bytes FF.
        position = content.find(b'\xff', position)
        if position < 0:
            return 'the JPEG file ends in its header'
        while position < size and content[position] == 0xFF:
            position += 1
        if position >= size:
            return 'the JPEG file ends in its header'
        marker = content[position]
        position += 1
        if marker in _JPEG_BARE:
            continue
        if marker == 0xD9:
            return 'the JPEG file holds no picture'
        if position + 2 > size:
            return 'the JPEG file ends in its header'
        length, = struct.unpack_from('>H', content, position)
        position += length
        if marker == 0xDA:
            break
    # Backwards, for a good file has it at or near its end.
    if content.rfind(_JPEG_END, position) < 0:
        return 'the JPEG file is truncated (it has no end marker)'
    return None


def _png_fault(content: bytes) -> Optional[str]:
    """Walk the chunks until IEND. PNG specification, section 5."""
    position = len(_PNG_START)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from('>I4s', content, position)
        position += 12 + length
        if kind == b'IEND':
            return None
    return 'the PNG file is truncated (it has no IEND chunk)'


def find_fault(content: bytes) -> Optional[str]:
    """Say what makes an image file incomplete, from its bytes alone.

    OpenCV fills the missing part of a truncated JPEG or PNG with grey and
    only prints a warning, so the file must be looked at before it is decoded.
    Formats other than JPEG and PNG are left to the decoder.

    Args:
        content (bytes): The contents of the file.

    Returns:
        str | None: What is wrong, or None where nothing was found.
    """
    if not content:
        return 'the file is empty'
    if content.startswith(_JPEG_START):
        return _jpeg_fault(content)
    if content.startswith(_PNG_START):
        return _png_fault(content)
    return None


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` that raises for an incomplete image.

    Good files give the same array bit for bit. Unreadable contents raise
    :class:`UnreadableImageError`, which :class:`SeededDataset` turns into a
    skipped and named sample. A file that is missing or may not be read stays
    the error it is.

    Required keys: ``img_path``. Added keys: ``img`` (H, W, C) uint8 or
    float32, ``img_shape`` and ``ori_shape`` (H, W).

    Args:
        to_float32 (bool): Whether to return float32. Defaults to False.
        color_type (str): Flag of :func:`mmcv.imfrombytes`.
            Defaults to 'color'.
        imdecode_backend (str): Decoder of :func:`mmcv.imfrombytes`.
            Defaults to 'cv2'.
        backend_args (dict, optional): Arguments of mmengine's file backend.
            Defaults to None.
    """

    def __init__(self,
                 to_float32: bool = False,
                 color_type: str = 'color',
                 imdecode_backend: str = 'cv2',
                 *,
                 backend_args: Optional[dict] = None) -> None:
        super().__init__(
            to_float32=to_float32,
            color_type=color_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args)

    def transform(self, results: dict) -> dict:
        """Load the image of ``results['img_path']``.

        Args:
            results (dict): The sample, with ``img_path``.

        Returns:
            dict: The sample with ``img``, ``img_shape``, ``ori_shape``.

        Raises:
            UnreadableImageError: If the contents are not a whole picture.
        """
        path = results['img_path']
        content = fileio.get(path, backend_args=self.backend_args)
        fault = find_fault(content)
        if fault is None:
            try:
                image = mmcv.imfrombytes(
                    content,
                    flag=self.color_type,
                    backend=self.imdecode_backend)
            # cv2.error: too large or no buffer; the others: Pillow.
            except (cv2.error, OSError, SyntaxError) as error:
                fault = f'the decoder says: {error}'
            else:
                if image is None:
                    fault = ('it is no image of a known format, or its data '
                             'are damaged')
        if fault is not None:
            raise UnreadableImageError(
                f'The image {path} cannot be read: {fault}; replace or '
                'remove the file.')
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results
