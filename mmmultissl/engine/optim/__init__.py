# Copyright (c) mmmultissl contributors. All rights reserved.
"""Optimiser wrappers."""
from .bf16_optim_wrapper import Bf16OptimWrapper

__all__ = ['Bf16OptimWrapper']
