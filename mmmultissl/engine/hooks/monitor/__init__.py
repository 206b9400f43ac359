# Copyright (c) mmmultissl contributors. All rights reserved.
"""Measurements while a model trains: one file, one measurement."""
from .monitor_hook import MonitorHook

__all__ = ['MonitorHook']
