# Copyright (c) mmmultissl contributors. All rights reserved.
"""MultiSSL and what encodes its views."""
from .encoded_views import EncodedViews, KeyView, TaskViews
from .momentum_encoder import MomentumEncoder, MomentumSchedule
from .multi_ssl import MultiSSL

__all__ = [
    'EncodedViews', 'KeyView', 'MomentumEncoder', 'MomentumSchedule',
    'MultiSSL', 'TaskViews'
]
