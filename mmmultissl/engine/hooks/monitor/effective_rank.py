# Copyright (c) mmmultissl contributors. All rights reserved.
"""How many dimensions the features use."""
import torch
from torch import Tensor

# RankMe's epsilon, that of float32.
_EPS = 1e-7


def effective_rank(features: Tensor) -> Tensor:
    r"""Exponential of the entropy of the singular values.

    Roy and Vetterli, "The Effective Rank" (EUSIPCO 2007), as RankMe uses it:
    Garrido et al. (ICML 2023, arXiv:2210.02885), equation 1,
    :math:`p_k = \sigma_k / \sum_j \sigma_j + \epsilon`,
    :math:`\exp(-\sum_k p_k \log p_k)`. Features are not centred and not
    normalised, as there. The singular values are roots of eigenvalues of the
    smaller Gram matrix, which is faster than decomposing the features.

    Args:
        features (Tensor): One row for each image, ``(N, C)``.

    Returns:
        Tensor: A scalar from 1 to the smaller of N and C; nan where a feature
        is not finite.
    """
    features = features.double()
    if not torch.isfinite(features).all():
        return features.new_tensor(torch.nan)
    gram = features.t() @ features if len(features) > features.size(
        1) else features @ features.t()
    values = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    total = values.sum()
    # Without any feature there is no dimension in use: one point.
    share = values / total.clamp(min=torch.finfo(total.dtype).tiny) + _EPS
    return (-(share * share.log()).sum()).exp()
