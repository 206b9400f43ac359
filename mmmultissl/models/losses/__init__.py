# Copyright (c) mmmultissl contributors. All rights reserved.
"""Losses: InfoNCE, and later the distillation distances."""
from .info_nce import InfoNCE, LogitInfoNCE, info_nce
from .similarity import row_similarity

__all__ = ['InfoNCE', 'LogitInfoNCE', 'info_nce', 'row_similarity']
