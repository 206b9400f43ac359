# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmpretrain's random crop with a faster resize."""
from mmpretrain.datasets.transforms import RandomResizedCrop as _Base

from mmmultissl.datasets.transforms import pillow_arithmetic
from mmmultissl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(_Base):
    """mmpretrain's ``RandomResizedCrop``, same draws, faster arithmetic.

    With Pillow's bilinear filter (``backend='pillow'``, as in MoCo v2) the
    result is at most 1 level from mmpretrain's. Any other setting is
    mmpretrain's own code.

    Args:
        *args: Of mmpretrain's class.
        **kwargs: Of mmpretrain's class.
    """

    def transform(self, results: dict) -> dict:
        """Cut out a random part and bring it to ``scale``.

        Args:
            results (dict): The sample, with ``img`` (H, W, 3) uint8.

        Returns:
            dict: The sample with the new ``img`` and ``img_shape``.
        """
        image = results['img']
        if (self.backend != 'pillow' or self.interpolation != 'bilinear'
                or image.ndim != 3):
            return super().transform(results)
        y, x, height, width = self.rand_crop_params(image)
        results['img'] = pillow_arithmetic.resize(
            image[y:y + height, x:x + width], self.scale)
        results['img_shape'] = results['img'].shape
        return results
