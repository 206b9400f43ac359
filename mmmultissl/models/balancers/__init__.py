# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers: how the losses of several tasks become one."""
from .base import Balancer, TaskLosses
from .fixed_weights import FixedWeights

__all__ = ['Balancer', 'FixedWeights', 'TaskLosses']
