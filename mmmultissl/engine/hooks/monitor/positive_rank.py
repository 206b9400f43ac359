# Copyright (c) mmmultissl contributors. All rights reserved.
"""Where the positive stands among the keys of the batch."""
from torch import Tensor
from torch.nn import functional as F


def positive_rank(query: Tensor, key: Tensor) -> Tensor:
    """Mean rank of each image's own key among the keys of the batch.

    The share of other images' keys that are more similar to the query than
    its own key is; a tie counts half, so that one point has the rank of
    chance. The rank is the usual one of retrieval, divided by the number of
    negatives (our choice, so that batch sizes compare).

    Args:
        query (Tensor): One view of each image, ``(N, C)``, N at least 2.
        key (Tensor): Another view of the same images, ``(N, C)``.

    Returns:
        Tensor: A scalar from 0 (always the first) over 0.5 (chance) to 1.
    """
    similarity = F.normalize(
        query.double(), dim=1) @ F.normalize(
            key.double(), dim=1).t()
    own = similarity.diagonal()[:, None]
    # What differs by rounding alone is a tie.
    close = 1e-6
    above = (similarity > own + close).double()
    tied = ((similarity - own).abs() <= close).double()
    negatives = len(query) - 1
    ahead = above.sum(1) + (tied.sum(1) - 1) / 2
    return (ahead / negatives).mean()
