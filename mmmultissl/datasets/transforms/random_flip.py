# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmcv's random flip that leaves an image contiguous."""
from typing import Optional

import cv2
import numpy as np
from mmcv.transforms import RandomFlip as _Base
from mmcv.transforms.utils import cache_randomness

from mmmultissl.datasets.transforms import drawn_view
from mmmultissl.registry import TRANSFORMS

_ANNOTATIONS = ('gt_bboxes', 'gt_keypoints', 'gt_seg_map')


@TRANSFORMS.register_module()
class RandomFlip(_Base):
    """mmcv's ``RandomFlip``, same draws and result, faster.

    The direction is drawn by one number in place of ``np.random.choice``,
    which draws the same number; the image is turned by OpenCV, so that packing
    need not gather it backwards. A sample with boxes, points or a segmentation
    map, and other directions than the horizontal, are mmcv's own code.

    Args:
        *args: Of mmcv's class.
        **kwargs: Of mmcv's class.
    """

    @property
    def can_defer(self) -> bool:
        """bool: Whether the device can do this."""
        return self.direction == 'horizontal' and isinstance(self.prob, float)

    @cache_randomness
    def _choose_direction(self) -> Optional[str]:
        if self.can_defer:
            return 'horizontal' if np.random.random_sample() < self.prob \
                else None
        return super()._choose_direction()

    def _flip(self, results: dict) -> None:
        if results['flip_direction'] != 'horizontal' or any(
                results.get(key) is not None for key in _ANNOTATIONS):
            super()._flip(results)
            return
        row = results.get('drawn')
        if row is not None:
            row[drawn_view.FLIP] = 1
        else:
            results['img'] = cv2.flip(results['img'], 1)
