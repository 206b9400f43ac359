# Copyright (c) mmmultissl contributors. All rights reserved.
"""Exact linear SVMs on many small sets of samples, by their Gram matrices.

With few samples per problem a Newton step is solved directly. In the dual
variables ``a`` of ``w = sum_n a_n x_n``, with the curvatures ``c`` of the
squared hinge at the present decision values (twice the sample's weight inside
the margin, zero outside) and ``r = sqrt(c)``, the whole Newton step leads to

    a = r * b,   (I + diag(r) K diag(r)) b = r * y,

K being the Gram matrix of the problem's samples. The matrix is symmetric and
its eigenvalues are at least one, so Cholesky's factors are safe.

Shapes: P problems, n samples each.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor

from .solver import line_search, squared_hinge

_MAX_NEWTON = 200


class SubsetSVC:
    """Solve linear SVMs with squared hinge, each on samples of its own.

    Args:
        gram (Tensor): Inner products of each problem's samples, the ones of
            the intercept included, (P, n, n), float64.
        sign (Tensor): +1 or -1, (P, n).
        tol (float): As in :class:`BatchedLinearSVC`: the norm of the gradient
            by the norm of the weights. Defaults to 1e-6.
    """

    def __init__(self, gram: Tensor, sign: Tensor, tol: float = 1e-6) -> None:
        self.gram = gram
        self.sign = sign.to(gram)
        self.tol = tol

    def solve(self,
              weight: Tensor,
              start: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Minimise every problem.

        Args:
            weight (Tensor): Weight of every sample's squared hinge, (P, n).
            start (Tensor, optional): Dual variables of problems nearby,
                (P, n). Defaults to None, which starts at zero.

        Returns:
            tuple[Tensor, Tensor]: Dual variables and decision values, both
            (P, n).

        Raises:
            RuntimeError: If a problem does not reach the tolerance.
        """
        gram, y = self.gram, self.sign
        s = weight.to(gram)
        dual = torch.zeros_like(y) if start is None else start.clone()
        scores = _times(gram, dual)
        live = torch.arange(len(y), device=gram.device)
        for _ in range(_MAX_NEWTON):
            a, f = dual[live], scores[live]
            slope, curvature = squared_hinge(y * f)
            # The gradient is the sum of the samples by these numbers.
            rest = a + s * y * slope
            norm = (rest * _times(gram, rest)).sum(1).clamp(min=0).sqrt()
            size = (a * f).sum(1).clamp(min=0).sqrt()
            todo = norm > self.tol * size
            if not todo.any():
                return dual, scores
            if not todo.all():
                live, gram, a, f, y, s, curvature = (
                    x[todo] for x in (live, gram, a, f, y, s, curvature))
            root = (s * curvature).sqrt()
            matrix = root[:, :, None] * gram * root[:, None, :]
            matrix.diagonal(dim1=1, dim2=2).add_(1)
            factor = torch.linalg.cholesky(matrix)
            goal = root * torch.cholesky_solve(
                (root * y)[..., None], factor)[..., 0]
            step = goal - a
            step_scores = _times(gram, step)
            length = line_search(squared_hinge, (step * f).sum(1),
                                 (step * step_scores).sum(1), y * f,
                                 y * step_scores, s)[:, None]
            dual[live] = a + length * step
            scores[live] = f + length * step_scores
        raise RuntimeError(
            f'{len(live)} of {len(dual)} SVMs did not reach the tolerance '
            f'{self.tol:g} in {_MAX_NEWTON} Newton steps: raise the tolerance '
            'or leave out the largest costs.')


def _times(gram: Tensor, vectors: Tensor) -> Tensor:
    return (gram @ vectors[..., None])[..., 0]
