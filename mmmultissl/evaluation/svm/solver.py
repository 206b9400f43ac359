# Copyright (c) mmmultissl contributors. All rights reserved.
"""Exact linear classifiers, many at a time: a primal Newton method on GEMMs.

The problem for one set of signs ``y`` and sample weights ``s`` (cost times
class weight) is

    P(w) = 1/2 |w|^2 + sum_n s_n loss(y_n <w, x_n>)

with a column of ones among the features for liblinear's regularised
intercept; the loss is the squared hinge of ``LinearSVC`` or the logistic one.
P is strongly convex and has one minimum, where Newton steps with a line search
end. Since its curvature is at least 1, ``|w - w*| <= |grad P|``: the norm of
the gradient, computed in float64, is a certificate, not a hope. (For the
squared hinge the duality gap is exactly ``1/2 |grad P|^2``.)

All problems of a batch share the features. They are turned once into the
eigenbasis of their Gram matrix (of the smaller of its two forms, so that no
direction is carried that no sample has), where the Hessian of a problem whose
samples all have the same curvature is diagonal: a diagonal preconditioner
then needs few steps of conjugate gradients. A Newton step is only a direction,
so it is computed in float32.

Shapes: P problems, N samples, D features, R directions of the eigenbasis
(D, or N where that is smaller).
"""
import copy
from typing import Callable, Dict, Optional, Tuple

import torch
from torch import Tensor

# Conjugate gradients reduce the residual of a Newton step to this part of the
# gradient; a smaller one costs products for steps that the next active set
# makes worthless. Our choice, by measurement.
_FORCING = 0.1
# A Newton step of a problem with n samples inside the margin is solved
# directly where n^3 / 3 + 100 n^2 operations (factors; gathering) are at most
# those of this many steps of conjugate gradients. Our choice, by measurement.
_DIRECT = 10
# Above this many samples their Gram matrix is not kept in memory.
_MAX_GRAM = 20000
_MAX_NEWTON = 200
_MAX_CG = 1000
_MAX_LINE_SEARCH = 30
# In place of zero below a fraction whose numerator is zero too.
_TINY = 1e-300

# From the margins y <w, x> to the loss's first and second derivative.
Loss = Callable[[Tensor], Tuple[Tensor, Tensor]]


def squared_hinge(margin: Tensor) -> Tuple[Tensor, Tensor]:
    """Derivatives of ``max(0, 1 - m)^2``.

    Args:
        margin (Tensor): Margins.

    Returns:
        tuple[Tensor, Tensor]: The first and the second derivative.
    """
    slack = (1 - margin).clamp_(min=0)
    return -2 * slack, 2 * (slack > 0).to(margin)


def logistic(margin: Tensor) -> Tuple[Tensor, Tensor]:
    """Derivatives of ``log(1 + exp(-m))``.

    Args:
        margin (Tensor): Margins.

    Returns:
        tuple[Tensor, Tensor]: The first and the second derivative.
    """
    wrong = torch.sigmoid(-margin)
    return -wrong, wrong * (1 - wrong)


class BatchedLinear:
    """Solve linear classifiers that share their samples.

    The default loss makes linear SVMs of them, :func:`logistic` logistic
    regressions.

    Args:
        features (Tensor): Samples, (N, D). Computed with in float64, on the
            device where they are. Add the column of ones before.
        tol (float): A problem is solved when the norm of its gradient is at
            most ``tol`` times the norm of its weights, which bounds the
            relative distance to the exact weights. Defaults to 1e-6.
        loss (Callable): Derivatives of the loss. Defaults to
            :func:`squared_hinge`.

    Raises:
        ValueError: If the features are not a finite matrix.
    """

    def __init__(self,
                 features: Tensor,
                 tol: float = 1e-6,
                 loss: Loss = squared_hinge) -> None:
        if features.dim() != 2 or 0 in features.shape:
            raise ValueError(
                'The classifier needs a matrix of features (samples, '
                f'features), but got the shape {tuple(features.shape)}.')
        if not torch.isfinite(features).all():
            raise ValueError(
                'The classifier got features that are not finite: the '
                'backbone gives nan or inf, so look at its checkpoint.')
        self.tol = tol
        self.loss = loss
        self.features = features.double()
        num, dim = self.features.shape
        self.primal = dim <= num
        if self.primal:
            _, self.basis = torch.linalg.eigh(self.features.T @ self.features)
            self.samples = self.features @ self.basis
        else:
            power, basis = torch.linalg.eigh(self.features @ self.features.T)
            self.samples = basis * power.clamp(min=0).sqrt()
        self._samples32 = self.samples.float()
        self._squares32 = self._samples32.square()
        # Filled when first needed; a copy by `with_loss` has the same dict.
        self._kept: Dict[str, Tensor] = {}

    def with_loss(self, loss: Loss, tol: float) -> 'BatchedLinear':
        """Solve other problems of the same samples, in the same eigenbasis.

        Args:
            loss (Callable): Derivatives of the loss.
            tol (float): Tolerance.

        Returns:
            BatchedLinear: Another solver; the tensors are shared.
        """
        other = copy.copy(self)
        other.loss, other.tol = loss, tol
        return other

    def solve(self,
              sign: Tensor,
              weight: Tensor,
              start: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Minimise every problem.

        Args:
            sign (Tensor): +1 or -1 for every problem and sample, (P, N).
            weight (Tensor): Weight of every sample's loss, (P, N); zero
                leaves a sample out of a problem.
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
            scores = samples.new_zeros(sign.shape)
        else:
            scores = start @ samples.T
            # Another cost mostly scales the weights, which is cheap to find.
            length = self._line_search(start, scores, sign, weight, start,
                                       scores)
            solution = (1 + length) * start
            scores *= 1 + length
        live = torch.arange(len(sign), device=samples.device)
        u, f, y, s = solution, scores, sign, weight
        for _ in range(_MAX_NEWTON):
            slope, curvature = self.loss(y * f)
            grad = u + (s * y * slope) @ samples
            norm, goal = grad.norm(dim=1), self.tol * u.norm(dim=1)
            todo = norm > goal
            solution[live[~todo]], scores[live[~todo]] = u[~todo], f[~todo]
            if not todo.any():
                return solution, scores
            if not todo.all():
                live, u, f, y, s, grad, norm, goal, curvature = (
                    x[todo] for x in (live, u, f, y, s, grad, norm, goal,
                                      curvature))
            step = self._newton_step(
                grad, norm, s * curvature,
                torch.maximum(
                    torch.full_like(norm, _FORCING), 0.3 * goal / norm))
            step_scores = step @ samples.T
            length = self._line_search(u, f, y, s, step, step_scores)
            u, f = u + length * step, f + length * step_scores
        raise RuntimeError(
            f'{len(live)} of {len(sign)} problems did not reach the tolerance '
            f'{self.tol:g} in {_MAX_NEWTON} Newton steps: raise the tolerance '
            'or leave out the largest costs.')

    def _newton_step(self, grad: Tensor, norm: Tensor, curvature: Tensor,
                     goal: Tensor) -> Tensor:
        """Solve ``(I + Z^T diag(curvature) Z) step = -grad``, roughly.

        Args:
            grad (Tensor): Gradients, (P, R).
            norm (Tensor): Their norms, (P, ).
            curvature (Tensor): Weighted second derivatives, (P, N).
            goal (Tensor): Part of the residual's norm to stop at, (P, ).

        Returns:
            Tensor: The steps, (P, R), float64.
        """
        samples = self._samples32
        scale = norm[:, None]
        residual = (-grad / scale).float()
        curvature, goal = curvature.float(), goal.float()
        step = torch.zeros_like(residual)
        cheap = self._cheap_problems(curvature)
        if len(cheap):
            step[cheap] = self._direct_step(residual[cheap], curvature[cheap])
            # The products below refine it where float32 did not suffice.
            residual[cheap] -= _times_hessian(samples, curvature[cheap],
                                              step[cheap])
        live = torch.arange(len(grad), device=grad.device)
        direction = power = diagonal = None
        for _ in range(_MAX_CG):
            todo = residual.norm(dim=1) > goal[live]
            if not todo.any():
                break
            if not todo.all():
                live, residual, curvature = (
                    x[todo] for x in (live, residual, curvature))
                if direction is not None:
                    direction, power, diagonal = (
                        x[todo] for x in (direction, power, diagonal))
            if direction is None:
                diagonal = 1 + curvature @ self._squares32
                scaled = direction = residual / diagonal
                power = (residual * scaled).sum(1, keepdim=True)
            else:
                scaled = residual / diagonal
                before = power
                power = (residual * scaled).sum(1, keepdim=True)
                direction = scaled + power / before * direction
            image = _times_hessian(samples, curvature, direction)
            length = power / (direction * image).sum(1, keepdim=True)
            step[live] += length * direction
            residual = residual - length * image
        return step.double() * scale

    def _cheap_problems(self, curvature: Tensor) -> Tensor:
        """Find the problems whose steps are best solved directly.

        Args:
            curvature (Tensor): Weighted second derivatives, (P, N).

        Returns:
            Tensor: Their numbers.
        """
        num, rank = self.samples.shape
        active = (curvature > 0).sum(1).double()
        cost = active**3 / 3 + 100 * active**2
        cheap = (cost <= _DIRECT * 4 * num * rank) & (num <= _MAX_GRAM)
        return cheap.nonzero()[:, 0]

    def _direct_step(self, residual: Tensor, curvature: Tensor) -> Tensor:
        """Solve ``(I + Z^T diag(curvature) Z) step = residual`` directly.

        With the samples A inside the margin and ``r = sqrt(curvature)``, the
        inverse is ``I - Z_A^T r (I + r Z_A Z_A^T r)^-1 r Z_A``.

        Args:
            residual (Tensor): Right-hand sides, (P, R).
            curvature (Tensor): Weighted second derivatives, (P, N).

        Returns:
            Tensor: The steps, (P, R).
        """
        samples = self._samples32
        if 'gram' not in self._kept:
            self._kept['gram'] = samples @ samples.T
        whole = self._kept['gram']
        seen = residual @ samples.T
        dual = torch.zeros_like(seen)
        for p, row in enumerate(curvature):
            inside = row.nonzero()[:, 0]
            root = row[inside].sqrt()
            gram = whole[inside[:, None], inside]
            gram *= root[:, None] * root
            gram.diagonal().add_(1)
            right = (root * seen[p, inside])[:, None]
            dual[p, inside] = root * torch.cholesky_solve(
                right, torch.linalg.cholesky(gram))[:, 0]
        return residual - dual @ samples

    def _line_search(self, u: Tensor, scores: Tensor, sign: Tensor,
                     weight: Tensor, step: Tensor,
                     step_scores: Tensor) -> Tensor:
        """Find the minimum of every problem along its step.

        The derivative along the step is increasing: its root is found by
        Newton's method, kept between bounds.

        Args:
            u (Tensor): Where the steps start, (P, R).
            scores (Tensor): Decision values there, (P, N).
            sign (Tensor): Signs, (P, N).
            weight (Tensor): Weights, (P, N).
            step (Tensor): Directions, (P, R).
            step_scores (Tensor): Decision values of the steps, (P, N).

        Returns:
            Tensor: Lengths, (P, 1).
        """
        along = (u * step).sum(1)
        square = step.square().sum(1)
        return line_search(self.loss, along, square, sign * scores,
                           sign * step_scores, weight)[:, None]

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
        slope, _ = self.loss(sign * (solution @ self.samples.T))
        return -(weight * sign * slope) @ self.features


def _times_hessian(samples: Tensor, curvature: Tensor,
                   vectors: Tensor) -> Tensor:
    return vectors + (curvature * (vectors @ samples.T)) @ samples


def line_search(loss: Loss, along: Tensor, square: Tensor, margin: Tensor,
                step_margin: Tensor, weight: Tensor) -> Tensor:
    """Find the minimum of every problem along its step.

    Args:
        loss (Callable): Its derivatives.
        along (Tensor): Inner product of weights and step, (P, ).
        square (Tensor): Squared norm of the step, (P, ).
        margin (Tensor): Margins at the start, (P, N).
        step_margin (Tensor): Margins of the step, (P, N).
        weight (Tensor): Weights of the samples, (P, N).

    Returns:
        Tensor: Lengths, (P, ); negative where the step leads upwards.
    """
    low = torch.full_like(along, -float('inf'))
    high = torch.full_like(along, float('inf'))
    pull = weight * step_margin
    push = pull * step_margin
    # The first guess is the minimum itself for a whole Newton step.
    length = torch.zeros_like(along)
    scale = None
    for _ in range(_MAX_LINE_SEARCH):
        first, second = loss(torch.addcmul(margin, length[:, None],
                                           step_margin))
        slope = along + length * square + (pull * first).sum(1)
        if scale is None:
            scale = slope.abs()
        elif (slope.abs() <= 1e-2 * scale).all():
            break
        low = torch.where(slope < 0, length, low)
        high = torch.where(slope > 0, length, high)
        bend = square + (push * second).sum(1)
        newton = length - slope / bend.clamp(min=_TINY)
        unbounded = low.isinf() | high.isinf()
        inside = unbounded | ((newton > low) & (newton < high))
        length = torch.where(inside, newton, (low + high) / 2)
    return length
