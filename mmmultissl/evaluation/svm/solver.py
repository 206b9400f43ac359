# Copyright (c) mmmultissl contributors. All rights reserved.
"""Exact linear SVMs, many at a time: a primal Newton method on GEMMs.

The problem of ``LinearSVC(loss='squared_hinge', penalty='l2')`` for one set
of signs ``y`` and sample weights ``s`` (cost times class weight) is

    P(w) = 1/2 |w|^2 + sum_n s_n max(0, 1 - y_n <w, x_n>)^2

with a column of ones among the features for liblinear's regularised
intercept. P is strongly convex and piecewise quadratic, hence Newton steps
with an exact line search end in its only minimum. With the dual variables
``2 s_n y_n max(0, ...)`` the duality gap is exactly ``1/2 |grad P|^2``, and
``|w - w*| <= |grad P|``: the gradient's norm is a certificate, not a hope.

All problems of a batch share the features. They are turned once into the
eigenbasis of their Gram matrix (of the smaller of its two forms, so that no
direction is carried that no sample has), where the Hessian of a problem whose
samples all violate the margin is nearly diagonal: a diagonal preconditioner
then needs few steps of conjugate gradients.

Shapes: P problems, N samples, D features, R directions of the eigenbasis
(D, or N where that is smaller).
"""
from typing import Optional, Tuple

import torch
from torch import Tensor

# Conjugate gradients reduce the residual of a Newton step to this part of the
# gradient; a smaller one costs products for steps that the next active set
# makes worthless. Our choice, by measurement.
_FORCING = 0.1
_MAX_NEWTON = 200
_MAX_CG = 1000
_MAX_LINE_SEARCH = 30


class BatchedLinearSVC:
    """Solve linear SVMs with squared hinge that share their samples.

    Args:
        features (Tensor): Samples, (N, D). Computed with in float64, on the
            device where they are. Add the column of ones before.
        tol (float): A problem is solved when the norm of its gradient is at
            most ``tol`` times the norm of its weights, which bounds the
            relative distance to the exact weights. Defaults to 1e-6.

    Raises:
        ValueError: If the features are not a finite matrix.
    """

    def __init__(self, features: Tensor, tol: float = 1e-6) -> None:
        if features.dim() != 2 or 0 in features.shape:
            raise ValueError(
                'The SVM needs a matrix of features (samples, features), but '
                f'got the shape {tuple(features.shape)}.')
        if not torch.isfinite(features).all():
            raise ValueError(
                'The SVM got features that are not finite: the backbone '
                'gives nan or inf, so look at its checkpoint.')
        self.tol = tol
        self.features = features.double()
        num, dim = self.features.shape
        self.primal = dim <= num
        if self.primal:
            _, self.basis = torch.linalg.eigh(self.features.T @ self.features)
            self.samples = self.features @ self.basis
        else:
            power, basis = torch.linalg.eigh(self.features @ self.features.T)
            self.samples = basis * power.clamp(min=0).sqrt()
        self.squares = self.samples.square()

    def solve(self,
              sign: Tensor,
              weight: Tensor,
              start: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Minimise every problem.

        Args:
            sign (Tensor): +1 or -1 for every problem and sample, (P, N).
            weight (Tensor): Weight of every sample's squared hinge, (P, N);
                zero leaves a sample out of a problem.
            start (Tensor, optional): Solutions, (P, R), of problems nearby.
                Defaults to None, which starts at zero.

        Returns:
            tuple[Tensor, Tensor]: The solutions in the eigenbasis, (P, R),
            and the decision values of all samples, (P, N), those of weight
            zero included.

        Raises:
            RuntimeError: If a problem does not reach the tolerance.
        """
        samples = self.samples
        sign, weight = sign.to(samples), weight.to(samples)
        if start is None:
            solution = samples.new_zeros(len(sign), samples.shape[1])
        else:
            solution = start.clone()
        scores = solution @ samples.T
        live = torch.arange(len(sign), device=samples.device)
        for _ in range(_MAX_NEWTON):
            u, f = solution[live], scores[live]
            y, s = sign[live], weight[live]
            slack = (1 - y * f).clamp_(min=0)
            grad = u - 2 * (s * y * slack) @ samples
            norm, goal = grad.norm(dim=1), self.tol * u.norm(dim=1)
            todo = norm > goal
            if not todo.any():
                return solution, scores
            live, u, f, y, s = (x[todo] for x in (live, u, f, y, s))
            step, step_scores = self._newton_step(
                grad[todo], s * (slack[todo] > 0),
                torch.maximum(_FORCING * norm[todo], 0.3 * goal[todo]))
            length = _exact_line_search(u, f, y, s, step, step_scores)
            solution[live] = u + length * step
            scores[live] = f + length * step_scores
        raise RuntimeError(
            f'{len(live)} of {len(sign)} SVMs did not reach the tolerance '
            f'{self.tol:g} in {_MAX_NEWTON} Newton steps: raise the tolerance '
            'or leave out the largest costs.')

    def _newton_step(self, grad: Tensor, curvature: Tensor,
                     goal: Tensor) -> Tuple[Tensor, Tensor]:
        """Solve ``(I + 2 Z^T diag(curvature) Z) step = -grad``, roughly.

        Args:
            grad (Tensor): Gradients, (P, R).
            curvature (Tensor): Weights of the samples inside the margin and
                zero for the others, (P, N).
            goal (Tensor): Norm of the residual to stop at, (P, ).

        Returns:
            tuple[Tensor, Tensor]: The steps, (P, R), and by how much they
            change the decision values, (P, N).
        """
        samples = self.samples
        step = torch.zeros_like(grad)
        step_scores = torch.zeros_like(curvature)
        live = torch.arange(len(grad), device=grad.device)
        diagonal = 1 + 2 * curvature @ self.squares
        residual = -grad
        scaled = residual / diagonal
        direction = scaled
        power = (residual * scaled).sum(1, keepdim=True)
        for _ in range(_MAX_CG):
            scores = direction @ samples.T
            image = direction + 2 * (curvature * scores) @ samples
            length = power / (direction * image).sum(1, keepdim=True)
            step[live] += length * direction
            step_scores[live] += length * scores
            residual = residual - length * image
            todo = residual.norm(dim=1) > goal[live]
            if not todo.any():
                break
            if not todo.all():
                live, residual, direction, power, diagonal, curvature = (
                    x[todo] for x in (live, residual, direction, power,
                                      diagonal, curvature))
            scaled = residual / diagonal
            before, power = power, (residual * scaled).sum(1, keepdim=True)
            direction = scaled + power / before * direction
        return step, step_scores

    def weights(self, solution: Tensor, sign: Tensor,
                weight: Tensor) -> Tensor:
        """Turn solutions into weights of the features.

        Args:
            solution (Tensor): From :meth:`solve`, (P, R).
            sign (Tensor): As given to :meth:`solve`, (P, N).
            weight (Tensor): As given to :meth:`solve`, (P, N).

        Returns:
            Tensor: Weights, (P, D).
        """
        if self.primal:
            return solution @ self.basis.T
        sign, weight = sign.to(self.samples), weight.to(self.samples)
        # With fewer samples than features, the weights are the sum of the
        # samples by their dual variables (zero gradient), whereas to undo
        # the basis would divide by vanishing eigenvalues.
        slack = (1 - sign * (solution @ self.samples.T)).clamp_(min=0)
        return 2 * (weight * sign * slack) @ self.features


def _exact_line_search(u: Tensor, scores: Tensor, sign: Tensor, weight: Tensor,
                       step: Tensor, step_scores: Tensor) -> Tensor:
    """Find the minimum of every problem along its step.

    The derivative along the step is increasing and piecewise linear: its root
    is found by Newton's method, kept between bounds.

    Args:
        u (Tensor): Where the steps start, (P, R).
        scores (Tensor): Decision values there, (P, N).
        sign (Tensor): Signs, (P, N).
        weight (Tensor): Weights, (P, N).
        step (Tensor): Descent directions, (P, R).
        step_scores (Tensor): Decision values of the steps, (P, N).

    Returns:
        Tensor: Lengths, (P, 1).
    """
    along = (u * step).sum(1)
    square = step.square().sum(1)
    signed_step = sign * step_scores
    margin = 1 - sign * scores
    low = torch.zeros_like(along)
    high = torch.full_like(along, float('inf'))
    length = torch.ones_like(along)
    slope_at_zero = along - 2 * (weight * signed_step *
                                 margin.clamp(min=0)).sum(1)
    for _ in range(_MAX_LINE_SEARCH):
        slack = margin - length[:, None] * signed_step
        pull = weight * signed_step * (slack > 0)
        slope = along + length * square - 2 * (pull * slack).sum(1)
        if (slope.abs() <= 1e-2 * slope_at_zero.abs()).all():
            break
        low = torch.where(slope < 0, length, low)
        high = torch.where(slope > 0, length, high)
        newton = length - slope / (square + 2 * (pull * signed_step).sum(1))
        middle = torch.where(high.isinf(), 2 * length, (low + high) / 2)
        inside = (newton > low) & (newton < high)
        length = torch.where(inside, newton, middle)
    return length[:, None]
