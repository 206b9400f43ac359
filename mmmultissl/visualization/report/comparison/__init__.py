# Copyright (c) mmmultissl contributors. All rights reserved.
"""The report of a whole comparison."""
from .write import write_report

__all__ = ['write_report']
