# Copyright (c) mmmultissl contributors. All rights reserved.
"""Keeping freed memory, which makes training on a CPU a third faster."""
import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to keep memory that tensors have freed.

    glibc maps every large tensor anew and gives it back when it is freed, so
    that each training step faults in and zeroes gigabytes page by page. Kept
    memory is reused instead, for a peak that is up to a fifth higher
    (benchmarks.md). It holds for the whole process from now on and has no
    counterpart that undoes it.

    Returns:
        bool: Whether the C library has this switch; glibc has.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(
        mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
