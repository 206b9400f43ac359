# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmpretrain's colour jitter with faster arithmetic."""
from mmpretrain.datasets.transforms import ColorJitter as _Base

from mmmultissl.datasets.transforms import drawn_view, pillow_arithmetic
from mmmultissl.registry import TRANSFORMS

# In the numbering of the order that mmpretrain draws.
_ADJUST = (pillow_arithmetic.adjust_brightness,
           pillow_arithmetic.adjust_contrast,
           pillow_arithmetic.adjust_saturation, pillow_arithmetic.adjust_hue)


@TRANSFORMS.register_module()
class ColorJitter(_Base):
    """mmpretrain's ``ColorJitter``, same draws, faster arithmetic.

    ``backend='cv2'`` is mmpretrain's own code.

    Args:
        *args: Of mmpretrain's class.
        **kwargs: Of mmpretrain's class.
    """

    @property
    def can_defer(self) -> bool:
        """bool: Whether the device can do this."""
        return self.backend == 'pillow'

    def transform(self, results: dict) -> dict:
        """Adjust brightness, contrast, saturation and hue in random order.

        Args:
            results (dict): The sample, with ``img`` (H, W, 3) uint8. With
                ``drawn`` the image stays as it is and the row is written.

        Returns:
            dict: The sample.
        """
        if self.backend != 'pillow':
            return super().transform(results)
        order, *factors = self._rand_params()
        row = results.get('drawn')
        if row is not None:
            row[drawn_view.ORDER] = order
            *blends, hue = factors
            row[drawn_view.FACTORS] = [
                1 if factor is None else factor for factor in blends
            ] + [0 if hue is None else pillow_arithmetic.hue_shift(hue)]
            return results
        image = results['img']
        for number in order:
            if factors[number] is not None:
                image = _ADJUST[number](image, factors[number])
        results['img'] = image
        return results
