# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmmultissl: several self-supervised tasks on one backbone, for OpenMMLab."""
from mmmultissl.version import __version__

__all__ = ['__version__']
