# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far apart the features of different images are."""
from torch import Tensor
from torch.nn import functional as F


def mean_cosine(features: Tensor) -> Tensor:
    r"""Mean cosine similarity of different rows.

    Computed from the sum of the unit rows u, without a matrix of pairs:
    :math:`(|\sum u|^2 - \sum |u|^2) / (N (N - 1))`.

    Args:
        features (Tensor): One row for each image, ``(N, C)``, N at least 2.

    Returns:
        Tensor: A scalar in [-1 / (N - 1), 1]; 1 where all features point the
        same way.
    """
    unit = F.normalize(features.double(), dim=1)
    rows = len(unit)
    return (unit.sum(0).square().sum() -
            unit.square().sum()) / (rows * (rows - 1))


def scaled_std(features: Tensor) -> Tensor:
    """Mean deviation of the dimensions of the unit rows, times sqrt(C).

    The collapse indicator of Chen and He, "Exploring Simple Siamese
    Representation Learning" (CVPR 2021, arXiv:2011.10566), figure 2, where an
    isotropic Gaussian has about 1 / sqrt(C); the factor is ours, so that
    widths compare.

    Args:
        features (Tensor): One row for each image, ``(N, C)``, N at least 2.

    Returns:
        Tensor: A scalar: 0 for one point, about 1 for features that fill
        their sphere.
    """
    unit = F.normalize(features.double(), dim=1)
    return unit.std(0).mean() * unit.size(1)**0.5
