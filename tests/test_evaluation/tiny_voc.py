# Copyright (c) mmmultissl contributors. All rights reserved.
"""A small folder in VOC's layout, with classes that are easy to tell."""
from pathlib import Path

import cv2
import numpy as np

CLASSES = ('bright', 'striped', 'unseen')


def make_tiny_voc(root: Path, train: int = 24, test: int = 16) -> Path:
    """Write images and lists; ``unseen`` has no positive test image.

    The first test image is *difficult* for ``bright``.

    Args:
        root (Path): Where to make the folder.
        train (int): Number of training images. Defaults to 24.
        test (int): Number of test images. Defaults to 16.

    Returns:
        Path: The data root.
    """
    rng = np.random.default_rng(0)
    voc = root / 'VOCdevkit' / 'VOC2007'
    lists = voc / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (voc / 'JPEGImages').mkdir()
    number = 0
    for split, count in (('trainval', train), ('test', test)):
        rows = {name: [] for name in CLASSES}
        ids = []
        for i in range(count):
            number += 1
            name = f'{number:06d}'
            ids.append(name)
            bright, striped = i % 2, i // 2 % 2
            image = rng.integers(0, 60, (40, 52, 3)) + 120 * bright
            if striped:
                image[::4] = 255
            cv2.imwrite(
                str(voc / 'JPEGImages' / f'{name}.jpg'),
                image.astype(np.uint8))
            labels = (2 * bright - 1, 2 * striped - 1,
                      1 if split == 'trainval' and i < 5 else -1)
            if split == 'test' and i == 0:
                labels = (0, ) + labels[1:]
            for key, label in zip(CLASSES, labels):
                rows[key].append(f'{name} {label:2d}\n')
        for key, lines in rows.items():
            (lists / f'{key}_{split}.txt').write_text(''.join(lines))
        (lists / f'{split}.txt').write_text('\n'.join(ids) + '\n')
    return voc
