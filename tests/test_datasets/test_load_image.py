# Copyright (c) mmmultissl contributors. All rights reserved.
"""Good files load as in mmcv; files that end too early are refused."""
import io
import struct

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from mmmultissl.datasets import LoadImage, UnreadableImageError
from mmmultissl.datasets.transforms.load_image import find_fault


def picture(height=60, width=80):
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 3, y * 4, x + y], -1) % 256
    noise = np.random.RandomState(0).randint(0, 60, image.shape)
    return ((image + noise) % 256).astype(np.uint8)


def encode(kind, mode='RGB', **options):
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


GOOD = {
    'jpeg': encode('JPEG'),
    'progressive': encode('JPEG', progressive=True),
    'grey': encode('JPEG', 'L'),
    'cmyk': encode('JPEG', 'CMYK'),
    'restart': encode('JPEG', restart_marker_blocks=2),
    'comment': encode('JPEG', comment=b'\xff\xd9 no end'),
    'png': encode('PNG'),
    'palette': encode('PNG', 'P'),
    'rgba': encode('PNG', 'RGBA'),
    'bmp': encode('BMP'),
    'webp': encode('WEBP'),
    'tiff': encode('TIFF'),
    'trailing': encode('JPEG') + b'\0' * 100,
    'trailing png': encode('PNG') + b'\0' * 100,
    'stray bytes': encode('JPEG')[:20] + b'\0\0' + encode('JPEG')[20:],
}


def load(tmp_path, content, transform):
    path = tmp_path / 'image'
    path.write_bytes(content)
    return transform(dict(img_path=str(path)))


@pytest.mark.parametrize('name', GOOD)
def test_good_files_equal_mmcv(tmp_path, name):
    for options in ({}, dict(to_float32=True), dict(color_type='grayscale')):
        ours = load(tmp_path, GOOD[name], LoadImage(**options))
        theirs = load(tmp_path, GOOD[name], LoadImageFromFile(**options))
        assert ours.keys() == theirs.keys()
        assert ours['img'].dtype == theirs['img'].dtype
        assert np.array_equal(ours['img'], theirs['img'])
        assert ours['img_shape'] == theirs['img_shape']
        assert ours['ori_shape'] == theirs['ori_shape']


def with_thumbnail(content):
    """Insert an APP1 segment that holds a whole JPEG of its own."""
    thumbnail = encode('JPEG')
    segment = b'\xff\xe1' + struct.pack('>H', len(thumbnail) + 2) + thumbnail
    return content[:2] + segment + content[2:]


@pytest.mark.parametrize('name', [
    'jpeg', 'progressive', 'grey', 'cmyk', 'restart', 'comment', 'png', 'bmp',
    'webp', 'tiff'
])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(tmp_path, name, share):
    content = GOOD[name][:int(len(GOOD[name]) * share)]
    with pytest.raises(UnreadableImageError, match='image cannot be read'):
        load(tmp_path, content, LoadImage())


@pytest.mark.parametrize('name', ['jpeg', 'progressive', 'png'])
def test_every_cut_is_found_before_decoding(name):
    """Newer OpenCV fails by itself, older ones fill the rest with grey."""
    content = with_thumbnail(GOOD[name]) if name != 'png' else GOOD[name]
    assert find_fault(content) is None
    for end in [*range(0, len(content), 7), len(content) - 1]:
        fault = find_fault(content[:end])
        # A head of one byte is not recognised as either format.
        assert fault is not None or end < 8, end


def test_messages_say_what_is_wrong(tmp_path):
    for content, words in [
        (b'', 'the file is empty'),
        (b'hello', 'no image of a known format'),
        (GOOD['jpeg'][:-2], 'truncated'),
        (GOOD['jpeg'][:4], 'ends in its header'),
        (b'\xff\xd8\xff\xd9', 'holds no picture'),
        (GOOD['png'][:-12], 'no IEND'),
    ]:
        with pytest.raises(UnreadableImageError, match=words):
            load(tmp_path, content, LoadImage())


def test_pillow_backend_is_refused_alike(tmp_path):
    load(tmp_path, GOOD['jpeg'], LoadImage(imdecode_backend='pillow'))
    with pytest.raises(UnreadableImageError):
        load(tmp_path, GOOD['bmp'][:200], LoadImage(imdecode_backend='pillow'))


def test_missing_file_stays_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        LoadImage()(dict(img_path=str(tmp_path / 'no.jpg')))
