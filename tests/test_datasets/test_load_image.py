# Copyright (c) mmmultissl contributors. All rights reserved.
"""Good files load as in mmcv; files that end too early are refused."""
import io
import struct

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmmultissl.datasets import LoadImage, UnreadableImageError
from mmmultissl.datasets.transforms.load_image import find_fault, jpeg_shape
from mmmultissl.registry import TRANSFORMS


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


CROP = dict(
    type='mmpretrain.RandomResizedCrop',
    scale=24,
    crop_ratio_range=(0.2, 1.),
    backend='pillow')


def smooth(height, width, **options):
    """A picture without fine detail, which is the same at any size."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([x, y, (x + y) / 2], -1) * 200 + 20
    buffer = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(
        buffer, 'JPEG', quality=95, **options)
    return buffer.getvalue()


# The smallest crop has sqrt(0.2 * 3 / 4) = 0.387 of the geometric mean side.
@pytest.mark.parametrize('shape, factor', [
    ((60, 80), 1), ((119, 121), 1), ((130, 130), 2), ((131, 255), 2),
    ((250, 260), 4), ((530, 560), 8), ((2000, 60), 2), ((2000, 40), 1)
])
def test_reduced_as_far_as_the_crops_allow(tmp_path, shape, factor):
    content = smooth(*shape)
    assert jpeg_shape(content) == shape
    full = load(tmp_path, content, LoadImage())['img']
    reduced = load(tmp_path, content, LoadImage(reduce_for=CROP))
    image = reduced['img']
    assert image.shape[:2] == tuple(-(-side // factor) for side in shape)
    assert reduced['img_shape'] == reduced['ori_shape'] == image.shape[:2]
    if factor == 1:
        assert np.array_equal(image, full)
        return
    # The same picture: block means are what libjpeg gives, to few levels.
    height, width = (side // factor for side in shape)
    means = full[:height * factor, :width * factor].reshape(
        height, factor, width, factor, 3).mean((1, 3))
    assert np.abs(means - image[:height, :width]).max() < 6
    # No crop is enlarged.
    crop = TRANSFORMS.build(CROP)
    for _ in range(200):
        assert min(crop.rand_crop_params(image)[2:]) >= 24


def test_reduction_obeys_the_most_demanding_view(tmp_path):
    crops = [CROP, dict(CROP, scale=48)]
    image = load(tmp_path, smooth(500, 520), LoadImage(reduce_for=crops))
    assert image['img'].shape[:2] == (125, 130)


def test_reduction_reads_the_right_header(tmp_path):
    # Not the size of an embedded thumbnail; turned after it is decoded.
    content = smooth(250, 520, progressive=True)
    assert jpeg_shape(with_thumbnail(content)) == (250, 520)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = smooth(250, 520, exif=exif)
    image = load(tmp_path, turned, LoadImage(reduce_for=CROP))['img']
    assert image.shape[:2] == (130, 63)
    for name in ('png', 'bmp', 'webp'):
        assert jpeg_shape(GOOD[name]) is None
        image = load(tmp_path, GOOD[name], LoadImage(reduce_for=CROP))['img']
        assert image.shape == (60, 80, 3)
    with pytest.raises(UnreadableImageError, match='truncated'):
        load(tmp_path, turned[:-2], LoadImage(reduce_for=CROP))


def test_reduction_needs_colour_and_opencv():
    for options in (dict(color_type='grayscale'),
                    dict(imdecode_backend='pillow')):
        with pytest.raises(ValueError, match='leave reduce_for out'):
            LoadImage(reduce_for=CROP, **options)


class Threads(Dataset):
    """Gives the number of OpenCV's threads after an image was loaded."""

    def __init__(self, path):
        self.path, self.load = path, LoadImage()

    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.load(dict(img_path=self.path))
        return cv2.getNumThreads()


def test_workers_keep_opencv_to_one_thread(tmp_path):
    path = tmp_path / 'image.jpg'
    path.write_bytes(GOOD['jpeg'])
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        data = Threads(str(path))
        assert data[0] == 2
        assert next(iter(DataLoader(data, num_workers=1))).item() == 1
    finally:
        cv2.setNumThreads(before)
