# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers: how the losses of several tasks become one."""
from .base import Balancer, GradientBalancer, LossBalancer, TaskLosses
from .fixed_weights import FixedWeights
from .gradient_sum import GradientSum

__all__ = [
    'Balancer', 'FixedWeights', 'GradientBalancer', 'GradientSum',
    'LossBalancer', 'TaskLosses'
]
