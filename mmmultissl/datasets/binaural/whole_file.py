# Copyright (c) mmmultissl contributors. All rights reserved.
"""Whether a sound file is all there, from its containers' own marks.

libsndfile and its codecs decode what is left of a file that was cut off, and
close the hole that a damaged page leaves, without a word. Written from the
formats' specifications: EBU Tech 3306 (RF64), Sony's W64, RFC 3533 (Ogg) and
Xing's and LAME's header of MP3.
"""
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Dict, NamedTuple, Optional

# A chunk of odd length is followed by a byte that some writers leave out.
_PAD = 1
_W64 = b'riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00'
_OGG_HEAD = struct.Struct('<4sBBqIIIB')
# So much of an MP3 file is searched for the header behind its tags.
_MP3_SEARCHED = 4096
_REVERSED = bytes(int(f'{byte:08b}'[::-1], 2) for byte in range(256))


class Fault(NamedTuple):
    """What is wrong with a file.

    Attributes:
        reason (str): In few words, equal for equal faults.
        detail (str): What holds for this file alone.
    """
    reason: str
    detail: str


def find_fault(path: Path) -> Optional[Fault]:
    """Say what of a sound file is missing or damaged.

    Args:
        path (Path): Of any format. Wav, RF64, W64, aiff and Ogg files say how
            long they are, MP3 files if their encoder wrote Xing's header;
            of the others, and of raw frames of MP3, nothing is known. FLAC's
            frames are checked by its decoder.

    Returns:
        Fault | None: None where nothing was found.
    """
    size = path.stat().st_size
    with open(path, 'rb') as file:
        head = file.read(40)
        if head[:4] == b'OggS':
            return _ogg_fault(file, size)
        declared = _declared(head)
        if declared is None and (head[:3] == b'ID3' or head[:1] == b'\xff'):
            declared = _mp3_end(file, head)
    if declared is not None and size < declared - _PAD:
        return Fault('truncated', f'{size} of {declared} bytes')
    return None


def _declared(head: bytes) -> Optional[int]:
    """Bytes of the whole file by a head of wav and its like."""
    if len(head) < 8:
        return None
    if head[:4] in (b'RIFF', b'FORM'):
        length, = struct.unpack_from('<I' if head[:1] == b'R' else '>I', head,
                                     4)
        # Writers to a pipe do not know it and put 0 or all ones.
        return None if length in (0, 2**32 - 1) else length + 8
    if head[:4] == b'RF64' and head[12:16] == b'ds64' and len(head) >= 28:
        length, = struct.unpack_from('<Q', head, 20)
        return length + 8 if length else None
    if head[:16] == _W64 and len(head) >= 24:
        length, = struct.unpack_from('<Q', head, 16)
        return length or None
    return None


def _mp3_end(file: BinaryIO, head: bytes) -> Optional[int]:
    """Where the frames end by the header that encoders put into the first."""
    start = 0
    if head[:3] == b'ID3' and len(head) >= 10:
        # Seven bits of each byte.
        a, b, c, d = head[6:10]
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    file.seek(start)
    frame = file.read(_MP3_SEARCHED)
    for mark in (b'Xing', b'Info'):
        at = frame.find(mark, 4, 200)
        if at > 0 and len(frame) >= at + 16:
            flags, = struct.unpack_from('>I', frame, at + 4)
            if flags & 2:  # the number of bytes, behind that of frames
                where = at + 8 + 4 * (flags & 1)
                length, = struct.unpack_from('>I', frame, where)
                return start + length if length else None
    return None


def _ogg_fault(file: BinaryIO, size: int) -> Optional[Fault]:
    """Walk the pages: each whole, in order, and as its checksum says."""
    follows: Dict[int, int] = {}
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(_OGG_HEAD.size)
        where = f'at byte {position} of {size}'
        if len(head) < _OGG_HEAD.size:
            return Fault('truncated', where)
        mark, _, _, _, serial, number, checksum, count = _OGG_HEAD.unpack(head)
        if mark != b'OggS':
            return Fault('damaged', where)
        table = file.read(count)
        body = file.read(sum(table))
        if len(table) < count or len(body) < sum(table):
            return Fault('truncated', where)
        page = head[:22] + bytes(4) + head[26:] + table + body
        if _ogg_checksum(page) != checksum or number != follows.get(
                serial, number):
            return Fault('damaged', where)
        follows[serial] = number + 1
        position += len(page)
    return None


def _ogg_checksum(page: bytes) -> int:
    """CRC-32 with the most significant bit first, from 0 (RFC 3533).

    zlib's takes the least significant bit first, from all ones and inverted,
    so that bits are turned before and after.
    """
    turned = zlib.crc32(page.translate(_REVERSED), 0xffffffff) ^ 0xffffffff
    return int(f'{turned:032b}'[::-1], 2)
