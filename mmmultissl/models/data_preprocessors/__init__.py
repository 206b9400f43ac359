# Copyright (c) mmmultissl contributors. All rights reserved.
from .deferred_views import DeferredViews

__all__ = ['DeferredViews']
