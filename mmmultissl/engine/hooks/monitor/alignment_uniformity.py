# Copyright (c) mmmultissl contributors. All rights reserved.
"""Alignment and uniformity on the unit sphere.

Wang and Isola, "Understanding Contrastive Representation Learning through
Alignment and Uniformity on the Hypersphere" (ICML 2020, arXiv:2005.10242),
with their exponents alpha = 2 and t = 2.
"""
import torch
from torch import Tensor
from torch.nn import functional as F

# Rows whose pairs are compared: all pairs of 512 are 130,816 distances.
_MOST_ROWS = 512


def alignment(query: Tensor, key: Tensor) -> Tensor:
    r"""Mean squared distance of positives, equation 5 with alpha = 2.

    Args:
        query (Tensor): One view of each image, ``(N, C)``.
        key (Tensor): Another view of the same images, ``(N, C)``.

    Returns:
        Tensor: A scalar from 0 (equal) to 4 (opposite); 2 at right angles.
    """
    query = F.normalize(query.double(), dim=1)
    key = F.normalize(key.double(), dim=1)
    return (query - key).square().sum(1).mean()


def alignment_of_similarities(positive: Tensor) -> Tensor:
    """The same of unit vectors whose cosine similarities are at hand.

    Args:
        positive (Tensor): Similarity of each pair, ``(N, )``.

    Returns:
        Tensor: A scalar from 0 to 4.
    """
    return (2 - 2 * positive.double()).mean()


def uniformity(features: Tensor) -> Tensor:
    r"""Logarithm of the mean Gaussian potential of pairs, equation 6, t = 2.

    Of more than 512 rows every so many are taken.

    Args:
        features (Tensor): One row for each image, ``(N, C)``, N at least 2.

    Returns:
        Tensor: A scalar: 0 for one point, about -4 + 8 / C for C dimensions
        that are filled evenly.
    """
    if len(features) > _MOST_ROWS:
        features = features[::-(-len(features) // _MOST_ROWS)]
    unit = F.normalize(features.double(), dim=1)
    return torch.pdist(unit).square().mul(-2).exp().mean().log()
