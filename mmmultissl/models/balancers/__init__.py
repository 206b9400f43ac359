# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers: how the losses of several tasks become one."""
from .fixed_weights import FixedWeights

__all__ = ['FixedWeights']
