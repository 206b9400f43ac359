# Copyright (c) mmmultissl contributors. All rights reserved.
"""Tiny data sets and checkpoints for the tests of detection."""
import json

import numpy as np
import torch
from PIL import Image
from torch import nn

SIZE = 64


def bright_square(rng):
    """Draw one white square on noise; return the pixels and x, y, side."""
    pixels = rng.integers(0, 100, (SIZE, SIZE, 3), dtype=np.uint8)
    x, y = (int(v) for v in rng.integers(0, SIZE // 2, 2))
    side = SIZE // 2
    pixels[y:y + side, x:x + side] = 255
    return Image.fromarray(pixels), (x, y, side)


def write_coco(root, images=4):
    """Write COCO's two splits, with boxes and polygons."""
    from mmdet.datasets import CocoDataset
    rng = np.random.default_rng(0)
    categories = [dict(id=number, name=name) for number, name in enumerate(
        CocoDataset.METAINFO['classes'], start=1)]
    for split in ('train2017', 'val2017'):
        (root / split).mkdir(parents=True)
        described, annotations = [], []
        for number in range(1, images + 1):
            image, (x, y, side) = bright_square(rng)
            name = f'{number:012d}.jpg'
            image.save(root / split / name)
            described.append(
                dict(id=number, file_name=name, height=SIZE, width=SIZE))
            corners = [x, y, x + side, y, x + side, y + side, x, y + side]
            annotations.append(
                dict(id=number, image_id=number, category_id=1, iscrowd=0,
                     bbox=[x, y, side, side], area=side * side,
                     segmentation=[corners]))
        (root / 'annotations').mkdir(exist_ok=True)
        (root / f'annotations/instances_{split}.json').write_text(
            json.dumps(dict(images=described, annotations=annotations,
                            categories=categories)))


def write_voc(root, images=4):
    """Write VOC2007's trainval and test and VOC2012's trainval."""
    rng = np.random.default_rng(0)
    for year, splits in (('2007', ['trainval', 'test']),
                         ('2012', ['trainval'])):
        folder = root / f'VOC{year}'
        for part in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
            (folder / part).mkdir(parents=True)
        for split in splits:
            names = [f'{split}_{number}' for number in range(images)]
            (folder / f'ImageSets/Main/{split}.txt').write_text(
                '\n'.join(names))
            for name in names:
                image, (x, y, side) = bright_square(rng)
                image.save(folder / f'JPEGImages/{name}.jpg')
                box = ''.join(
                    f'<{key}>{value}</{key}>' for key, value in
                    dict(xmin=x + 1, ymin=y + 1, xmax=x + side,
                         ymax=y + side).items())
                (folder / f'Annotations/{name}.xml').write_text(
                    f'<annotation><size><width>{SIZE}</width>'
                    f'<height>{SIZE}</height></size><object><name>cat</name>'
                    f'<difficult>0</difficult><bndbox>{box}</bndbox>'
                    '</object></annotation>')


def pretrained_resnet(path, depth=18):
    """Write what a pretraining run leaves: an mmpretrain ResNet and more."""
    from mmpretrain.models import ResNet
    source = ResNet(depth=depth)
    source.init_weights()
    for norm in source.modules():  # unlike what a fresh model has
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.9, 1.1)
    weights = {f'backbone.{k}': v for k, v in source.state_dict().items()}
    weights['tasks.moco.queue'] = torch.rand(2, 2)
    torch.save(dict(state_dict=weights), path)
    return source
