# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the transforms of one view drew, as a row of numbers.

A row is what the device needs to finish a view that a worker has only cut out
(:class:`mmmultissl.datasets.transforms.MultiView` with ``defer=True``). Every
column is set by one transform; a transform that was left out by chance leaves
its columns as :func:`nothing_drawn` made them, which changes no pixel.
"""
import numpy as np

# Which adjustment comes first, second, ...: brightness 0, contrast 1,
# saturation 2, hue 3.
ORDER = slice(0, 4)
# Their factors, in that numbering; hue as whole steps of 256.
FACTORS = slice(4, 8)
# Weights of the three channels, or zeros where the view keeps its colours.
GREY = slice(8, 11)
# Standard deviation of the blur in pixels; 0 is none.
SIGMA = 11
# 1 where the view is mirrored.
FLIP = 12
LENGTH = 13


def nothing_drawn() -> np.ndarray:
    """A row that changes nothing.

    Returns:
        np.ndarray: ``(13, )`` float64.
    """
    row = np.zeros(LENGTH)
    row[ORDER] = range(4)
    row[FACTORS] = (1, 1, 1, 0)
    return row
