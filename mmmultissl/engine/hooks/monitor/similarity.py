# Copyright (c) mmmultissl contributors. All rights reserved.
"""How alike two encoders see the same images."""
import torch
from torch import Tensor
from torch.nn import functional as F


def paired_cosine(left: Tensor, right: Tensor) -> Tensor:
    """Mean cosine similarity of the two features of each image.

    Args:
        left (Tensor): Features of one encoder, ``(N, C)``.
        right (Tensor): Those of the other, ``(N, C)``.

    Returns:
        Tensor: A scalar in [-1, 1].
    """
    return F.cosine_similarity(left.double(), right.double(), dim=1).mean()


def _hsic(left: Tensor, right: Tensor) -> Tensor:
    """Unbiased estimate of HSIC from two Gram matrices with zero diagonal.

    Song et al., "Feature Selection via Dependence Maximization" (JMLR 2012),
    equation 5.
    """
    rows = len(left)
    trace = (left * right).sum()
    sums = left.sum() * right.sum() / ((rows - 1) * (rows - 2))
    mixed = 2 * (left.sum(0) @ right.sum(0)) / (rows - 2)
    return (trace + sums - mixed) / (rows * (rows - 3))


def linear_cka(left: Tensor, right: Tensor) -> Tensor:
    """Linear centred kernel alignment, which no rotation changes.

    Kornblith et al., "Similarity of Neural Network Representations Revisited"
    (ICML 2019, arXiv:1905.00414), with the unbiased HSIC that Nguyen et al.
    (ICLR 2021, arXiv:2010.15327) take for it: the biased one tends to 1 where
    there are fewer images than dimensions.

    Args:
        left (Tensor): Features of one encoder, ``(N, C)``, N at least 4.
        right (Tensor): Those of the other, ``(N, C')``.

    Returns:
        Tensor: A scalar, 1 for the same features up to rotation and scale,
        about 0 (also a little below) for unrelated ones.

    Raises:
        ValueError: If there are fewer than 4 images.
    """
    if len(left) < 4:
        raise ValueError(
            f'CKA was asked for {len(left)} images but needs 4: enlarge '
            'drift.memory of MonitorHook.')
    grams = []
    for features in (left, right):
        features = features.double()
        # Centring changes nothing but rounding.
        features = features - features.mean(0)
        gram = features @ features.t()
        grams.append(gram - torch.diag(gram.diagonal()))
    left, right = grams
    own = _hsic(left, left) * _hsic(right, right)
    return _hsic(left, right) / own.clamp(
        min=torch.finfo(own.dtype).tiny).sqrt()
