# Copyright (c) mmmultissl contributors. All rights reserved.
"""The geometric mean of the losses."""
from torch import Tensor

from mmmultissl.registry import MODELS

from .base import LossBalancer, TaskLosses


@MODELS.register_module()
class GeometricMean(LossBalancer):
    r"""Trains :math:`(\prod_t L_t)^{1/T}`.

    The geometric loss strategy of `MultiNet++
    <https://arxiv.org/abs/1904.08325>`_. Its gradient is that of
    :math:`\sum_t w_t L_t` with the constants
    :math:`w_t = \frac{1}{T L_t} (\prod_u L_u)^{1/T}`, which is what is
    computed here, from the losses of all processes; the sum of the logged
    losses is the geometric mean. A task alone has the weight 1. Multiplying
    one loss by c multiplies all weighted gradients by
    :math:`c^{1/T}`: tasks keep their shares.

    Raises:
        ValueError: In the first step, if a task's loss is not positive. Later
            the loss is then not a number, and the run is stopped.
    """

    def weights(self, losses: TaskLosses) -> Tensor:
        """Get the weights of this step.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: ``(T, )``.
        """
        totals = self.totals(losses)
        self.require_positive(totals)
        return totals.log().mean().exp() / totals / len(totals)
