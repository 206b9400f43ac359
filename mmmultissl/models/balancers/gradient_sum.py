# Copyright (c) mmmultissl contributors. All rights reserved.
"""A plain sum of gradients, seen on their way."""
from typing import Optional

import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import GradientBalancer


@MODELS.register_module()
class GradientSum(GradientBalancer):
    """Adds the gradients up, as no balancer does, and measures them.

    What is trained is what ``FixedWeights`` without weights trains; its use
    is to see the gradients' inner products at every step (``last_gram``) and
    to know what measuring costs.
    """

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights: ones.

        Args:
            gram (Tensor): ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        return torch.ones_like(gram[0])

    def combine(self, gram: Tensor) -> Optional[Tensor]:
        """Ask for a plain sum.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            None: A plain sum.
        """
        self.last_gram = gram
        return None
