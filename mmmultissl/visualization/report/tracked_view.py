# Copyright (c) mmmultissl contributors. All rights reserved.
"""Views of an image of which it is known where every pixel came from."""
from typing import List, NamedTuple, Tuple

import numpy as np
from mmcv.transforms import RandomFlip
from mmengine.config import Config
from mmpretrain.datasets.transforms import RandomResizedCrop

from mmmultissl.registry import TRANSFORMS
from mmmultissl.utils.seeding import hash_ints, preserved_cpu_rng, seed_cpu

# These change colours and sharpness, and move nothing.
_STAY = ('RandomApply', 'ColorJitter', 'RandomGrayscale', 'GaussianBlur',
         'RandomSolarize', 'Solarize')


class Crop(NamedTuple):
    """Where a view was cut out of its image.

    Attributes:
        left (float): Left edge in the image, in pixels.
        top (float): Top edge.
        width (float): Width of what was cut out.
        height (float): Height of what was cut out.
        flipped (bool): Whether it was mirrored left to right.
    """
    left: float
    top: float
    width: float
    height: float
    flipped: bool

    def centres(self, rows: int, columns: int) -> np.ndarray:
        """Find the centres of a grid of cells in the image.

        Args:
            rows (int): Cells from top to bottom of the view.
            columns (int): Cells from left to right of the view.

        Returns:
            np.ndarray: x and y in pixels of the image, row by row,
            (rows * columns, 2).
        """
        across = (np.arange(columns) + .5) / columns
        if self.flipped:
            across = 1 - across
        down = (np.arange(rows) + .5) / rows
        x, y = np.meshgrid(self.left + self.width * across,
                           self.top + self.height * down)
        return np.stack([x.ravel(), y.ravel()], 1)

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Say which points of the image are in the view.

        Args:
            points (np.ndarray): x and y in pixels of the image, (N, 2).

        Returns:
            np.ndarray: (N, ) bool.
        """
        x, y = (points - (self.left, self.top)).T
        return (0 <= x) & (x < self.width) & (0 <= y) & (y < self.height)


def view_steps(config: Config) -> List[dict]:
    """Find the pipeline of the views in a pretraining config.

    Args:
        config (Config): The config.

    Returns:
        list[dict]: Configs of the first view's transforms.

    Raises:
        ValueError: If there is none.
    """
    steps = config.train_dataloader.dataset.pipeline
    for step in steps:
        if step.type.split('.')[-1] == 'MultiView':
            return [dict(inner) for inner in step.transforms[0]]
    raise ValueError(
        'The pretraining config has no MultiView in '
        'train_dataloader.dataset.pipeline, so there are no two views to '
        'compare: the report needs a contrastive run.')


def make_view(image: np.ndarray, steps: List[dict], size: int,
              key: int) -> Tuple[np.ndarray, Crop]:
    """Make a view and remember its crop.

    Crop, flip, colours and blur are those of the config, in its order; other
    transforms, whose effect on positions is not known, are left out.

    Args:
        image (np.ndarray): (H, W, 3), uint8.
        steps (list[dict]): From :func:`view_steps`.
        size (int): Sides of the view in pixels, in place of the config's.
        key (int): Determines the view.

    Returns:
        tuple: The view, (size, size, 3) uint8, and its crop.

    Raises:
        ValueError: If the steps crop not once but more or less often.
    """
    results = dict(img=image, img_shape=image.shape[:2])
    boxes, flipped = [], False
    with preserved_cpu_rng():
        for number, step in enumerate(steps):
            if step['type'].split('.')[-1] == 'RandomResizedCrop':
                step = dict(step, scale=size)
            transform = TRANSFORMS.build(step)
            seed_cpu(hash_ints(key, number))
            if isinstance(transform, RandomResizedCrop):
                top, left, height, width = transform.rand_crop_params(
                    results['img'])
                boxes.append((left, top, width, height))
                # The same numbers once more, now to cut.
                seed_cpu(hash_ints(key, number))
            elif not (isinstance(transform, RandomFlip)
                      or type(transform).__name__ in _STAY):
                continue
            results = transform(results)
            if isinstance(transform, RandomFlip):
                flipped ^= bool(results['flip'])
    if len(boxes) != 1:
        raise ValueError(
            f'The views of the pretraining config are cropped {len(boxes)} '
            'times by RandomResizedCrop, and the report can follow one crop.')
    return results['img'], Crop(*boxes[0], flipped)
