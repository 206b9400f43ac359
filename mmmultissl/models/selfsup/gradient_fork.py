# Copyright (c) mmmultissl contributors. All rights reserved.
"""One autograd node that sees every task's gradient on the shared features."""
from typing import Callable, List, Optional, Sequence, Tuple

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable

#: From a Gram matrix ``(T, T)`` to weights ``(T, )``; None is a plain sum.
Combine = Callable[[Tensor], Optional[Tensor]]

# Rows of the matrix that is multiplied with itself are at most this long, so
# that measuring never holds a second copy of large features.
_CHUNK = 1 << 22


class _Fork(torch.autograd.Function):
    """T copies forwards, one combination of T gradients backwards."""

    @staticmethod
    def forward(ctx, combine: Combine, copies: int, *features: Tensor):
        ctx.combine, ctx.copies, ctx.count = combine, copies, len(features)
        # A task that does not read a feature sends None and costs nothing.
        ctx.set_materialize_grads(False)
        return tuple(f.view_as(f) for _ in range(copies) for f in features)

    @staticmethod
    @once_differentiable
    def backward(ctx, *gradients: Optional[Tensor]):
        per_task = [
            gradients[t * ctx.count:(t + 1) * ctx.count]
            for t in range(ctx.copies)
        ]
        weights = ctx.combine(gram_matrix(per_task))
        return (None, None, *(_combined(each, weights)
                              for each in zip(*per_task)))


def fork(features: Sequence[Tensor], copies: int,
         combine: Combine) -> List[Tuple[Tensor, ...]]:
    """Give each task a copy of the features, and combine their gradients.

    The copies share their memory. In the backward pass ``combine`` gets the
    inner products of the tasks' gradients, of all features together and
    summed over processes, and one weighted sum goes on into the trunk: there
    is one backward pass through the trunk, for any number of tasks.

    Args:
        features (Sequence[Tensor]): The features that all tasks share. They
            require gradients.
        copies (int): Number T of tasks.
        combine (Callable): Gets the Gram matrix ``(T, T)`` of
            :func:`gram_matrix`; gives weights ``(T, )``, or None for a plain
            sum. With several processes all of them call it at the same time.

    Returns:
        list[tuple[Tensor]]: For each task the features, in their order.
    """
    flat = _Fork.apply(combine, copies, *features)
    count = len(features)
    return [flat[t * count:(t + 1) * count] for t in range(copies)]


def gram_matrix(
        gradients: Sequence[Sequence[Optional[Tensor]]]) -> Tensor:
    """Get the inner products of the tasks' gradients.

    A process has the gradients of the mean over its own samples, and the
    trunk gets the mean over processes. So the sum over processes is divided
    by the square of their number: the result is that of one process with all
    samples. Factors of the loss (a gradient scaler's, that of accumulation)
    are in it, squared.

    Args:
        gradients (Sequence): For each task its gradients on the features, in
            the features' order; None stands for zeros.

    Returns:
        Tensor: ``(T, T)``, float32, or float64 for float64 features.
    """
    gram = None
    for each in zip(*gradients):
        like = next((g for g in each if g is not None), None)
        if like is None:
            continue
        # Zeros without memory of their own.
        zeros = like.new_zeros(()).expand_as(like)
        part = _products([zeros if g is None else g for g in each])
        gram = part if gram is None else gram.to(part) + part
    if gram is None:
        raise RuntimeError(
            'No task sent a gradient to the shared features, so there is '
            'nothing to weigh: let a task read a view that the trunk encodes '
            '(query_views).')
    world = get_world_size()
    if world > 1:
        all_reduce(gram, 'sum')
        gram /= world**2
    return gram


def _products(gradients: List[Tensor]) -> Tensor:
    like = gradients[0]
    dtype = _sum_dtype(like)
    rows = max(1, _CHUNK // max(1, like[0].numel()))
    total = torch.zeros(
        len(gradients), len(gradients), dtype=dtype, device=like.device)
    # Some call backward() inside autocast, which would round products.
    with torch.autocast(like.device.type, enabled=False):
        for start in range(0, like.size(0), rows):
            chunk = torch.stack([
                g[start:start + rows].to(dtype) for g in gradients
            ]).flatten(1)
            # Matrix by vector and not by matrix, which a user may have let be
            # rounded to TF32.
            for t, row in enumerate(chunk):
                total[t, t:] += chunk[t:] @ row
    return total.triu() + total.triu(1).t()


def _combined(gradients: Sequence[Optional[Tensor]],
              weights: Optional[Tensor]) -> Optional[Tensor]:
    # From the last task to the first, the order in which autograd adds the
    # gradients of a tensor that several read.
    present = [(t, g) for t, g in reversed(list(enumerate(gradients)))
               if g is not None]
    if not present:
        return None
    (last, first), rest = present[0], present[1:]
    if weights is None:
        # The first sum makes a new tensor: gradients belong to autograd.
        total = first + rest[0][1] if rest else first
        for _, gradient in rest[1:]:
            total += gradient
        return total
    # Half-precision gradients add up in float32 and are rounded once.
    weights = weights.to(_sum_dtype(first))
    total = weights[last] * first.to(weights.dtype)
    for t, gradient in rest:
        total.addcmul_(weights[t], gradient.to(weights.dtype))
    return total.to(first.dtype)


def _sum_dtype(gradient: Tensor) -> torch.dtype:
    return torch.promote_types(gradient.dtype, torch.float32)
