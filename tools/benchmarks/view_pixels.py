# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far our views are from mmpretrain's, in levels of 255.

    python tools/benchmarks/view_pixels.py CONFIG --data-root FOLDER

The same seeds give the same crops and factors in all ways of making a view, so
the views are compared number by number, and their statistics as well. Reduced
decoding moves a crop by parts of a pixel; there the same square is cut out of
both decodings of a file and brought to the size of a view.
"""
import argparse
from typing import Dict, List

import cv2
import data_time
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, DefaultScope

from mmmultissl.datasets import SeededDataset
from mmmultissl.datasets.transforms import pillow_arithmetic
from mmmultissl.models.data_preprocessors.deferred_views import finish


def parse_args() -> argparse.Namespace:
    """Parse the arguments.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a pretraining config')
    parser.add_argument('--data-root', required=True,
                        help='a folder of images')
    parser.add_argument('--images', type=int, default=100)
    parser.add_argument('--passes', type=int, default=3,
                        help='draws per image')
    return parser.parse_args()


def views_of(dataset: SeededDataset, passes: int) -> np.ndarray:
    """Make all views of all images.

    Args:
        dataset (SeededDataset): The images.
        passes (int): Draws per image.

    Returns:
        np.ndarray: ``(passes * images * views, 3, H, W)`` uint8.
    """
    found = []
    for number in range(passes):
        batch = default_collate(
            [dataset[index, number] for index in range(len(dataset))])
        views = batch['inputs']
        if 'drawn' in batch:
            views = [
                finish(view, rows).to(torch.uint8)
                for view, rows in zip(views, batch['drawn'].unbind(1))
            ]
        found += views
    return torch.cat(found).numpy()


def compare(views: np.ndarray, stock: np.ndarray) -> Dict[str, str]:
    """Compare views with mmpretrain's, number by number and as a whole.

    Args:
        views (np.ndarray): ``(N, 3, H, W)`` uint8.
        stock (np.ndarray): The same by mmpretrain.

    Returns:
        dict[str, str]: What was measured -> the figure.
    """
    levels = np.abs(views.astype(np.int16) - stock)
    sides = (2, 3)
    means, spreads = zip(*[(v.mean(sides).mean(0), v.std(sides).mean(0))
                           for v in (stock, views)])
    histograms = [np.bincount(v.ravel(), minlength=256) / v.size
                  for v in (stock, views)]
    return {
        'mean difference': f'{levels.mean():.3f}',
        'largest difference': f'{levels.max()}',
        'numbers that differ': f'{(levels > 0).mean():.2%}',
        'by more than 1': f'{(levels > 1).mean():.3%}',
        'by more than 3': f'{(levels > 3).mean():.4%}',
        'mean of B, G, R': _three(means[0]) + ' by mmpretrain, ' +
                           _three(means[1] - means[0], '+'),
        'deviation within a view': _three(spreads[0]) + ' by mmpretrain, ' +
                                   _three(spreads[1] - spreads[0], '+'),
        'total variation between histograms':
        f'{np.abs(np.subtract(*histograms)).sum() / 2:.5f}',
    }


def _three(values: np.ndarray, sign: str = '') -> str:
    return ' '.join(f'{value:{sign}.3f}' for value in values)


def reduced(paths: List[str], size: int, side: int) -> str:
    """Compare a square of a file decoded at half its size and at full size.

    Args:
        paths (list[str]): JPEG files.
        size (int): Pixels of a view.
        side (int): Pixels of the square in the full image.

    Returns:
        str: The figures.
    """
    rows = []
    for path in paths:
        image = cv2.imread(path)
        # Even, so that the square has the same edges at half the size.
        top, left = ((length - side) // 4 * 2 for length in image.shape[:2])
        full = image[top:top + side, left:left + side]
        image = cv2.imread(path, cv2.IMREAD_REDUCED_COLOR_2)
        half = image[top // 2:(top + side) // 2, left // 2:(left + side) // 2]
        full, half = (
            pillow_arithmetic.resize(square, (size, size)).astype(float)
            for square in (full, half))
        rows.append((np.abs(half - full).mean(), (half - full).mean(),
                     half.std() / full.std()))
    mean, bias, ratio = np.mean(rows, axis=0)
    return (f'mean difference {mean:.2f}, signed {bias:+.3f}, '
            f'deviation within a view x {ratio:.4f}')


def main() -> None:
    """Compare and print."""
    args = parse_args()
    cv2.setNumThreads(0)
    cfg = Config.fromfile(args.config)
    size = cfg.train_dataloader.dataset.pipeline[1].transforms[0][0].scale
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        source = DATASETS.build(
            dict(type='mmmultissl.ImageFolder', data_root=args.data_root))
        step = max(1, len(source) // args.images)
        paths = [source.get_data_info(i)['img_path']
                 for i in range(0, len(source), step)][:args.images]
        made = {}
        for name in ('mmpretrain', 'ours', 'ours, deferred'):
            dataset = data_time.make_dataset(name, cfg, paths)
            if name == 'mmpretrain':
                dataset = SeededDataset(dataset, seed=0)
            made[name] = views_of(dataset, args.passes)
            print(f'{name}: {len(made[name])} views made', flush=True)
    for name in ('ours', 'ours, deferred'):
        print(f'\n{name}, {len(made[name])} views of {len(paths)} images at '
              f'{size} pixels, against mmpretrain')
        for what, figure in compare(made[name], made['mmpretrain']).items():
            print(f'  {what:36}{figure}')
    # Half the view's pixels, so that the files at hand are large enough.
    print(f'\nhalf size against full size, views of {size // 2} pixels')
    for side in (size, size * 5 // 4, size * 3 // 2):
        side -= side % 4
        fitting = [p for p in paths if min(cv2.imread(p).shape[:2]) >= side]
        if fitting:
            print(f'  squares of {side}, {len(fitting)} files: '
                  f'{reduced(fitting, size // 2, side)}')


if __name__ == '__main__':
    main()
