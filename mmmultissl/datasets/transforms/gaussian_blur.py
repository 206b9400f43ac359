# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmpretrain's Gaussian blur with faster arithmetic."""
from mmpretrain.datasets.transforms import GaussianBlur as _Base

from mmmultissl.datasets.transforms import drawn_view, pillow_arithmetic
from mmmultissl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GaussianBlur(_Base):
    """mmpretrain's ``GaussianBlur``, same draws, faster arithmetic.

    Args:
        *args: Of mmpretrain's class.
        **kwargs: Of mmpretrain's class.
    """

    @property
    def can_defer(self) -> bool:
        """bool: Whether the device can do this."""
        return True

    def transform(self, results: dict) -> dict:
        """Blur the image, or do not.

        Args:
            results (dict): The sample, with ``img`` (H, W, 3) uint8. With
                ``drawn`` the image stays as it is and the row is written.

        Returns:
            dict: The sample.
        """
        if self.random_disable():
            return results
        sigma = self.random_magnitude() if self.radius is None else self.radius
        row = results.get('drawn')
        if row is not None:
            row[drawn_view.SIGMA] = sigma
        else:
            results['img'] = pillow_arithmetic.gaussian_blur(
                results['img'], sigma)
        return results
