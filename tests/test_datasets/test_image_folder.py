# Copyright (c) mmmultissl contributors. All rights reserved.
"""A folder of images is all that is needed, and mistakes are named."""
import os.path as osp

import cv2
import numpy as np
import pytest

from mmmultissl.datasets import ImageFolder

NAMES = ['b/2.JPG', 'a.png', 'b/1.jpeg', 'c/d/x.Tif', 'z.webp', 'e.bmp']


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / 'images'
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.full((5, 7, 3), 100, np.uint8)
        ok, data = cv2.imencode(path.suffix.lower(), image)
        path.write_bytes(data.tobytes())
    (root / 'notes.txt').write_text('no image')
    (root / '._a.png').write_text('a resource fork')
    return root


def paths(dataset, root):
    return [
        osp.relpath(dataset.get_data_info(i)['img_path'], root)
        for i in range(len(dataset))
    ]


def test_finds_all_images_in_a_fixed_order(folder):
    dataset = ImageFolder(str(folder))
    assert paths(dataset, folder) == [
        'a.png', 'b/1.jpeg', 'b/2.JPG', 'c/d/x.Tif', 'e.bmp', 'z.webp'
    ]
    assert dataset.get_data_info(3)['sample_idx'] == 3


def test_loads_with_a_pipeline(folder):
    dataset = ImageFolder(
        str(folder), pipeline=[dict(type='mmmultissl.LoadImage')])
    for sample in dataset:
        assert sample['img'].shape == (5, 7, 3)


def test_links_are_followed_and_cycles_end(folder):
    (folder / 'c' / 'again').symlink_to(folder)
    assert len(ImageFolder(str(folder))) == len(NAMES)
    other = folder.parent / 'other'
    other.mkdir()
    (other / 'linked').symlink_to(folder / 'b')
    assert len(ImageFolder(str(other))) == 2


def test_indices_lazy_init_and_prefix(folder):
    lazy = ImageFolder(str(folder), indices=[4, 0], lazy_init=True)
    assert not lazy._fully_initialized
    lazy.full_init()
    assert paths(lazy, folder) == ['e.bmp', 'a.png']
    assert len(ImageFolder(str(folder), indices=3)) == 3
    for prefix in ('b', dict(img_path='b')):
        dataset = ImageFolder(str(folder), data_prefix=prefix)
        assert paths(dataset, folder) == ['b/1.jpeg', 'b/2.JPG']


def test_list_of_ids_keeps_its_order(folder):
    (folder / 'train.txt').write_text('2\n\n 1 \n')
    (folder / 'b' / '1.jpeg').rename(folder / 'b' / '1.JPG')
    dataset = ImageFolder(
        str(folder), ann_file='train.txt', data_prefix='b', img_suffix='.JPG')
    assert paths(dataset, folder) == ['b/2.JPG', 'b/1.JPG']


def test_several_roots(folder):
    (folder / 'list.txt').write_text('b/1.jpeg\n')
    dataset = ImageFolder([str(folder / 'c'), str(folder)],
                          ann_file=['', 'list.txt'])
    assert paths(dataset, folder) == ['c/d/x.Tif', 'b/1.jpeg']
    with pytest.raises(ValueError, match='one ann_file .* for 2 folders'):
        ImageFolder([str(folder)] * 2, ann_file='list.txt')
    with pytest.raises(ValueError, match='3 values of img_suffix for 2'):
        ImageFolder([str(folder)] * 2, img_suffix=['', '', ''])


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere does not exist'):
        ImageFolder(str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match='joined with data_prefix'):
        ImageFolder(str(tmp_path), data_prefix='nowhere')
    with pytest.raises(ValueError, match='set it to a folder'):
        ImageFolder('')


def test_empty_folder(tmp_path):
    (tmp_path / 'a.txt').write_text('')
    with pytest.raises(ValueError, match='holds no image'):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize('content, error, words', [
    (b'a.png\nzz.png\n', FileNotFoundError, r"list.txt, line 2: 'zz.png' .*"
     'correct the line, data_prefix or img_suffix'),
    (b'a.png 1\n', FileNotFoundError, 'line 1: .* without labels'),
    (b'\n \n', ValueError, 'list.txt is empty'),
    (b'\xff\xd8\xff\xe0', ValueError, 'not a text file'),
])
def test_wrong_lists(folder, content, error, words):
    (folder / 'list.txt').write_bytes(content)
    with pytest.raises(error, match=words):
        ImageFolder(str(folder), ann_file='list.txt')


def test_missing_list(folder):
    with pytest.raises(FileNotFoundError, match='image list .*no.txt does'):
        ImageFolder(str(folder), ann_file='no.txt')
