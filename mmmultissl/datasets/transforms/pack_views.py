# Copyright (c) mmmultissl contributors. All rights reserved.
"""Packing of views, with what was drawn for them."""
import cv2
import numpy as np
import torch
from mmpretrain.datasets.transforms import PackInputs

from mmmultissl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackViews(PackInputs):
    """mmpretrain's ``PackInputs`` with a faster change to ``(C, H, W)``.

    Where :class:`MultiView` has deferred the views, their rows are packed as
    ``drawn``, ``(V, 13)`` float64.

    Args:
        *args: Of mmpretrain's class.
        **kwargs: Of mmpretrain's class.
    """

    @staticmethod
    def format_input(input_):
        """Bring an image, or a list of them, to tensors ``(C, H, W)``.

        Args:
            input_ (np.ndarray | list): Images ``(H, W, 3)`` uint8; anything
                else is packed by mmpretrain.

        Returns:
            Tensor | list: The same values.
        """
        if isinstance(input_, list):
            return [PackViews.format_input(item) for item in input_]
        if (isinstance(input_, np.ndarray) and input_.ndim == 3
                and input_.shape[2] == 3 and input_.dtype == np.uint8):
            planes = np.empty((3, ) + input_.shape[:2], dtype=np.uint8)
            cv2.split(input_, list(planes))
            return torch.from_numpy(planes)
        return PackInputs.format_input(input_)

    def transform(self, results: dict) -> dict:
        """Pack one sample.

        Args:
            results (dict): The sample, with ``img``.

        Returns:
            dict: ``inputs`` and ``data_samples`` as in mmpretrain, and
            ``drawn`` for deferred views.
        """
        packed = super().transform(results)
        if 'drawn' in results:
            packed['drawn'] = torch.from_numpy(np.stack(results['drawn']))
        return packed
