# Copyright (c) mmmultissl contributors. All rights reserved.
"""Similarity of matching rows, in full precision."""
import torch
from torch import Tensor


def row_similarity(query: Tensor, key: Tensor) -> Tensor:
    """Multiply each query with its key.

    Autocast would round the products to 8 bits, while the negatives of
    :func:`~mmmultissl.models.losses.info_nce` keep 24.

    Args:
        query (Tensor): Queries, ``(N, C)``.
        key (Tensor): Their keys, ``(N, C)``.

    Returns:
        Tensor: Products, ``(N,)``, at least float32.
    """
    dtype = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        return torch.einsum('nc,nc->n', [query.to(dtype), key.to(dtype)])
