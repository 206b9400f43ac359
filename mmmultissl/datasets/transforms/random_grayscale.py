# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmcv's random grayscale with faster arithmetic."""
from mmcv.transforms import RandomGrayscale as _Base

from mmmultissl.datasets.transforms import drawn_view, pillow_arithmetic
from mmmultissl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomGrayscale(_Base):
    """mmcv's ``RandomGrayscale``, same draws, faster arithmetic.

    What does not give three channels of a BGR or RGB image is mmcv's own code.

    Args:
        *args: Of mmcv's class.
        **kwargs: Of mmcv's class.
    """

    @property
    def can_defer(self) -> bool:
        """bool: Whether the device can do this."""
        return self.keep_channels and self.color_format != 'hsv'

    def transform(self, results: dict) -> dict:
        """Take the colours out of the image, or do not.

        Args:
            results (dict): The sample, with ``img`` (H, W, 3) uint8. With
                ``drawn`` the image stays as it is and the row is written.

        Returns:
            dict: The sample.
        """
        if not self.can_defer or results['img'].ndim != 3:
            return super().transform(results)
        if self._random_prob() < self.prob:
            row = results.get('drawn')
            if row is not None:
                row[drawn_view.GREY] = self.channel_weights
            else:
                results['img'] = pillow_arithmetic.to_grey(
                    results['img'], self.channel_weights)
        return results
