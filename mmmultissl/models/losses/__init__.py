# Copyright (c) mmmultissl contributors. All rights reserved.
"""Losses: InfoNCE, and later the distillation distances."""
from .info_nce import InfoNCE, LogitInfoNCE, info_nce

__all__ = ['InfoNCE', 'LogitInfoNCE', 'info_nce']
