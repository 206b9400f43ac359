# Copyright (c) mmmultissl contributors. All rights reserved.
"""Views that workers cut out and the device finishes."""
from typing import List, Optional, Tuple

import torch
from mmpretrain.models import SelfSupDataPreprocessor
from torch import Tensor

from mmmultissl.datasets.transforms import drawn_view
from mmmultissl.registry import MODELS

from . import batched_augment


@MODELS.register_module()
class DeferredViews(SelfSupDataPreprocessor):
    """mmpretrain's preprocessor, which first finishes deferred views.

    The pipeline is ``mmmultissl.MultiView`` with ``defer=True``, then
    ``mmmultissl.PackViews``: its workers decode, cut out and resize, and draw
    what colour jitter, grayscale, blur and flip need. Here these are done for
    the whole batch. The numbers come with the samples, so the views are those
    that the workers would have made, to the last levels, and a resumed run
    gets the same ones; the generators of the step are not touched.

    Args:
        **kwargs: Of mmpretrain's class.
    """

    def forward(self,
                data: dict,
                training: bool = False) -> Tuple[List[Tensor], Optional[list]]:
        """Finish the views and normalise them.

        Args:
            data (dict): ``inputs``, V views (N, 3, H, W) uint8 in the order
                blue, green, red; ``drawn``, (N, V, 13); ``data_samples``.
            training (bool): Passed on. Defaults to False.

        Returns:
            dict: ``inputs``, V views (N, 3, H, W) float32, and
            ``data_samples``.

        Raises:
            KeyError: If the views were not deferred.
        """
        if 'drawn' not in data:
            raise KeyError(
                'DeferredViews got views without what was drawn for them; set '
                "defer=True in mmmultissl.MultiView and pack with "
                'mmmultissl.PackViews, or use mmpretrain.'
                'SelfSupDataPreprocessor.')
        data = dict(data)
        # Stays on the host, where it says what is to be done.
        drawn = data.pop('drawn')
        views = self.cast_data(list(data['inputs']))
        # mmengine calls this under autocast, whose products of matrices are
        # too coarse for 256 levels.
        with torch.no_grad(), torch.autocast(
                self.device.type, enabled=False):
            data['inputs'] = [
                finish(view, rows)
                for view, rows in zip(views, drawn.unbind(1))
            ]
        return super().forward(data, training)


def finish(images: Tensor, rows: Tensor) -> Tensor:
    """Apply to a batch what was drawn for it.

    Args:
        images (Tensor): ``(N, 3, H, W)`` uint8, blue, green, red.
        rows (Tensor): ``(N, 13)`` on the host, see :mod:`drawn_view`.

    Returns:
        Tensor: ``(N, 3, H, W)`` float32, whole numbers in [0, 255].
    """
    images = images.float()
    images = batched_augment.jitter(images, rows[:, drawn_view.ORDER],
                                    rows[:, drawn_view.FACTORS])
    images = batched_augment.to_grey(images, rows[:, drawn_view.GREY])
    images = batched_augment.gaussian_blur(images, rows[:, drawn_view.SIGMA])
    return batched_augment.flip(images, rows[:, drawn_view.FLIP])
