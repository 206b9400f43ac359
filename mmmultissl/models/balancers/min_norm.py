# Copyright (c) mmmultissl contributors. All rights reserved.
"""The shortest vector between some vectors."""
import numpy as np
from scipy.optimize import nnls


def vectors_of(gram: np.ndarray) -> np.ndarray:
    """Get vectors that have a Gram matrix.

    Args:
        gram (np.ndarray): ``(T, T)``, symmetric; negative eigenvalues, which
            rounding leaves, count as 0.

    Returns:
        np.ndarray: One vector in each column, ``(T, T)``.
    """
    # Of the cosines: the rounding of a long vector's products would drown a
    # short one.
    lengths = np.sqrt(gram.diagonal())
    lengths = np.where(lengths > 0, lengths, 1.)
    values, axes = np.linalg.eigh(gram / lengths / lengths[:, None])
    return np.sqrt(values.clip(0))[:, None] * axes.T * lengths


def min_norm_weights(vectors: np.ndarray) -> np.ndarray:
    r"""Get the point of smallest norm in the convex hull of some vectors.

    :math:`\min_w \|V w\|` over non-negative :math:`w` of sum 1 is a problem
    of non-negative least squares, :math:`\min \|V x\|^2 + (\sum_t x_t - 1)^2`:
    along each ray :math:`x = c w` the least value grows with :math:`\|V w\|`,
    so its solution has the direction of :math:`w`. The active-set method of
    Lawson and Hanson finds it in a finite number of steps.

    Args:
        vectors (np.ndarray): One in each column, ``(D, T)``.

    Returns:
        np.ndarray: The weights, ``(T, )``.
    """
    tasks = vectors.shape[1]
    scale = np.sqrt((vectors**2).sum() / tasks) or 1.
    system = np.vstack([vectors / scale, np.ones(tasks)])
    target = np.append(np.zeros(len(vectors)), 1.)
    found, _ = nnls(system, target, maxiter=100 * tasks)
    return found / found.sum()
