# Copyright (c) mmmultissl contributors. All rights reserved.
"""Annotations that a mask head cannot use."""
from mmcv.transforms import BaseTransform

from mmmultissl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DropInstancesWithoutMask(BaseTransform):
    """Leave out instances that have a box and no outline.

    COCO gives every instance an outline; reduced or converted sets may lack
    those of crowds, on which mmdet's ``LoadAnnotations`` fails. Boxes of such
    crowds are then not ignored but absent (our choice).

    Place it before ``LoadAnnotations(with_mask=True)``.
    """

    def transform(self, results: dict) -> dict:
        """Filter the instances of one image.

        Args:
            results (dict): mmdet's, with a list ``instances``.

        Returns:
            dict: The same without the instances that lack ``mask``.
        """
        results['instances'] = [
            instance for instance in results['instances'] if 'mask' in instance
        ]
        return results
