# Copyright (c) mmmultissl contributors. All rights reserved.
"""Average precision of a ranking, in the two forms that the protocol uses."""
import numpy as np


def average_precision(positive: np.ndarray,
                      scores: np.ndarray,
                      interpolated: bool = True) -> float:
    """Area under the precision-recall curve, all recall points.

    The curve has one point for every distinct score, so samples that tie
    enter together and their order does not matter (mmselfsup's script leaves
    ties to its sorting routine; without ties the two are the same).

    Args:
        positive (np.ndarray): Whether each sample is a positive, (N, ).
        scores (np.ndarray): Decision values, the larger the more positive,
            (N, ).
        interpolated (bool): Whether the precision at a recall is the best
            one at that recall or a larger one, as VOC's and mmselfsup's
            evaluation has it. If False, it is the precision itself, as in
            scikit-learn's ``average_precision_score``, which mmselfsup's
            cross-validation uses. Defaults to True.

    Returns:
        float: The area, in [0, 1].

    Raises:
        ValueError: If there is no positive, or the lengths differ.

    Examples:
        >>> average_precision([1, 0, 1], [3., 2., 1.])
        0.8333333333333333
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
    order = np.argsort(-scores, kind='stable')
    ranked = scores[order]
    hits = np.cumsum(positive[order])
    last_of_tie = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits = hits[last_of_tie]
    precision = hits / (last_of_tie + 1)
    if interpolated:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall_gain = np.diff(hits, prepend=0) / hits[-1]
    return float(recall_gain @ precision)
