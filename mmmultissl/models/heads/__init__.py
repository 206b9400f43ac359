# Copyright (c) mmmultissl contributors. All rights reserved.
"""Heads of downstream models."""
from .normed_res_layer import NormedResLayer

__all__ = ['NormedResLayer']
