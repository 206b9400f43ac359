# Copyright (c) mmmultissl contributors. All rights reserved.
"""The version of mmmultissl."""

__version__ = '0.1.0'
