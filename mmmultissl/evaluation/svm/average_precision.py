# Copyright (c) mmmultissl contributors. All rights reserved.
"""Average precision of a ranking, in the two forms that the protocol uses."""
from typing import Optional

import numpy as np
import torch
from torch import Tensor


def average_precisions(positive: Tensor,
                       scores: Tensor,
                       asked: Optional[Tensor] = None,
                       interpolated: bool = True) -> Tensor:
    """Areas under many precision-recall curves, all recall points.

    A curve has one point for every distinct score, so samples that tie enter
    together and their order does not matter (mmselfsup's script leaves ties
    to its sorting routine; without ties the two are the same).

    Args:
        positive (Tensor): Whether each sample is a positive, bool, (P, N).
        scores (Tensor): Finite decision values, the larger the more positive,
            (P, N).
        asked (Tensor, optional): Whether a sample is in a problem, bool,
            (P, N). Defaults to None, all are.
        interpolated (bool): Whether the precision at a recall is the best
            one at that recall or a larger one, as VOC's and mmselfsup's
            evaluation has it. If False, it is the precision itself, as in
            scikit-learn's ``average_precision_score``, which mmselfsup's
            cross-validation uses. Defaults to True.

    Returns:
        Tensor: The areas in [0, 1], float64, (P, ); nan without a positive.
    """
    if asked is not None:
        # Behind all others they change no precision at a positive.
        positive = positive & asked
        scores = scores.masked_fill(~asked, -float('inf'))
    ranked, order = scores.sort(dim=1, descending=True)
    hit = positive.gather(1, order).double()
    hits = hit.cumsum(1)
    num = scores.shape[1]
    place = torch.arange(num, device=scores.device)
    precision = hits / (place + 1)
    last_of_tie = torch.ones_like(ranked, dtype=torch.bool)
    last_of_tie[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    if interpolated:
        points = precision.masked_fill(~last_of_tie, 0).flip(1)
        precision = points.cummax(1).values.flip(1)
    else:
        point = torch.where(last_of_tie, place, num).flip(1)
        precision = precision.gather(1, point.cummin(1).values.flip(1))
    return (hit * precision).sum(1) / hits[:, -1]


def average_precision(positive: np.ndarray,
                      scores: np.ndarray,
                      interpolated: bool = True) -> float:
    """Area under one precision-recall curve; see :func:`average_precisions`.

    Args:
        positive (np.ndarray): Whether each sample is a positive, (N, ).
        scores (np.ndarray): Decision values, (N, ).
        interpolated (bool): Whether the curve is interpolated. Defaults to
            True.

    Returns:
        float: The area, in [0, 1].

    Raises:
        ValueError: If there is no positive, or the lengths differ.

    Examples:
        >>> round(average_precision([1, 0, 1], [3., 2., 1.]), 4)
        0.8333
    """
    positive = np.asarray(positive, dtype=bool)
    scores = np.asarray(scores, dtype=np.float64)
    if positive.ndim != 1 or positive.shape != scores.shape:
        raise ValueError(
            'Average precision needs one score per sample, but got '
            f'{positive.shape} labels and {scores.shape} scores.')
    if not positive.any():
        raise ValueError(
            'Average precision is not defined without a positive sample.')
    return float(
        average_precisions(
            torch.from_numpy(positive)[None],
            torch.from_numpy(scores)[None],
            interpolated=interpolated))
