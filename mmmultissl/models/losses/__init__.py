# Copyright (c) mmmultissl contributors. All rights reserved.
"""Losses: InfoNCE, true against false partners, ordered classes."""
from .distillation import *  # noqa: F401,F403
from .distillation import __all__ as _distances
from .info_nce import InfoNCE, LogitInfoNCE, info_nce
from .matching import (binary_matching, hard_info_nce, margin_matching,
                       share_right)
from .ordinal import ordinal_class, ordinal_loss
from .similarity import row_similarity

__all__ = [
    'InfoNCE', 'LogitInfoNCE', 'binary_matching', 'hard_info_nce', 'info_nce',
    'margin_matching', 'ordinal_class', 'ordinal_loss', 'row_similarity',
    'share_right', *_distances
]
