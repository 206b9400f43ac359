# Copyright (c) mmmultissl contributors. All rights reserved.
"""InfoNCE whose extra memory does not grow with rows times queue length."""
from typing import Optional

import torch
import torch.nn as nn
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmmultissl.registry import MODELS

# Bytes of logits alive at a time. On the CPU a block that stays in the cache
# is the fastest; on an accelerator it must be large enough to fill it.
_BLOCK_BYTES_CPU = 4 << 20
_BLOCK_BYTES_DEVICE = 64 << 20
_MIN_CHUNK = 256


class _InfoNCE(torch.autograd.Function):
    """Row losses of InfoNCE, with the gradient found in the same sweep.

    The queue is read in column blocks. A running maximum m, the sum of
    exponentials s and their weighted sum of keys a are kept per row, so that
    after the last block

        loss = m + log s - positive / t,      d loss / d query = a / (s t).

    Nothing of the queue is kept for the backward pass: the caller may
    overwrite it as soon as the loss is there.
    """

    @staticmethod
    def forward(ctx, query_NC: Tensor, positive_N: Tensor, queue_CK: Tensor,
                temperature: float, chunk: int) -> Tensor:
        wants_query = ctx.needs_input_grad[0]
        dtype = torch.promote_types(query_NC.dtype, torch.float32)
        with torch.autocast(query_NC.device.type, enabled=False):
            scaled_NC = query_NC.to(dtype) / temperature
            queue_CK = queue_CK.to(dtype)
            positive_t_N = positive_N.to(dtype) / temperature

            # The positive is the first "block": its exponential is 1.
            max_N = positive_t_N.clone()
            sum_N = torch.ones_like(max_N)
            sum_NC = torch.zeros_like(scaled_NC)
            for start in range(0, queue_CK.size(1), chunk):
                block_CB = queue_CK[:, start:start + chunk]
                logits_NB = scaled_NC @ block_CB
                new_max_N = torch.maximum(max_N, logits_NB.amax(dim=1))
                shrink_N = (max_N - new_max_N).exp_()
                logits_NB.sub_(new_max_N.unsqueeze(1)).exp_()
                sum_N = sum_N * shrink_N + logits_NB.sum(dim=1)
                if wants_query:
                    sum_NC.mul_(shrink_N.unsqueeze(1))
                    sum_NC.addmm_(logits_NB, block_CB.t())
                max_N = new_max_N

            log_sum_N = max_N + sum_N.log()
            prob_positive_N = (positive_t_N - log_sum_N).exp()
            ctx.save_for_backward(
                sum_NC.div_((sum_N * temperature).unsqueeze(1)),
                (prob_positive_N - 1) / temperature)
            ctx.dtypes = query_NC.dtype, positive_N.dtype
            return log_sum_N - positive_t_N

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_N: Tensor):
        grad_query_NC, grad_positive_N = ctx.saved_tensors
        query_dtype, positive_dtype = ctx.dtypes
        grad_query = grad_positive = None
        if ctx.needs_input_grad[0]:
            grad_query = (grad_query_NC *
                          grad_N.unsqueeze(1)).to(query_dtype)
        if ctx.needs_input_grad[1]:
            grad_positive = (grad_positive_N * grad_N).to(positive_dtype)
        return grad_query, grad_positive, None, None, None


def info_nce(query: Tensor,
             positive: Tensor,
             queue: Tensor,
             temperature: float = 0.2,
             chunk: Optional[int] = None) -> Tensor:
    """The InfoNCE loss of every row against one positive and a queue.

    For row n with query q, positive similarity s and queue columns k_j,

        loss_n = -log( exp(s/t) / (exp(s/t) + sum_j exp(q.k_j/t)) ).

    It is what softmax cross-entropy gives on the ``N x (1+K)`` matrix of
    logits (MoCo, arXiv:1911.05722, equation 1), but only ``N x chunk`` of
    the matrix is there at a time. Computed in at least float32, under
    autocast too. Not differentiable twice, and not with respect to the queue.

    Args:
        query (Tensor): Queries, ``(N, C)``, usually of unit length.
        positive (Tensor): Similarity of each query to its positive, ``(N,)``.
        queue (Tensor): Negative keys as columns, ``(C, K)``.
        temperature (float): Temperature t > 0. Defaults to 0.2 (MoCo v2).
        chunk (int, optional): Queue columns handled at a time. Defaults to
            None: as many as keep a block of logits in the CPU's cache, or
            64 MiB of it on an accelerator (our choice).

    Returns:
        Tensor: Losses, ``(N,)``, float32 or float64.

    Raises:
        ValueError: If the temperature is not positive or shapes do not fit.

    Examples:
        >>> import torch
        >>> from mmmultissl.models.losses import info_nce
        >>> query = torch.nn.functional.normalize(torch.ones(2, 4), dim=1)
        >>> info_nce(query, torch.ones(2), torch.zeros(4, 1), 1.)
        tensor([0.3133, 0.3133])
    """
    if temperature <= 0:
        raise ValueError(f'The temperature of InfoNCE is {temperature}: set a '
                         'positive one, such as 0.2.')
    if (query.dim() != 2 or queue.dim() != 2
            or query.size(1) != queue.size(0)
            or positive.shape != query.shape[:1]):
        raise ValueError(
            f'InfoNCE got query {tuple(query.shape)}, positive '
            f'{tuple(positive.shape)} and queue {tuple(queue.shape)}: pass '
            '(N, C), (N,) and (C, K).')
    if len(query) == 0 or (chunk is not None and chunk < 1):
        raise ValueError(
            f'InfoNCE got {len(query)} rows and chunk={chunk}: pass at least '
            'one row, and a chunk of at least 1 or None.')
    if chunk is None:
        budget = (_BLOCK_BYTES_CPU
                  if query.device.type == 'cpu' else _BLOCK_BYTES_DEVICE)
        row_bytes = 8 if query.dtype == torch.float64 else 4
        chunk = max(_MIN_CHUNK, budget // (row_bytes * max(1, query.size(0))))
    return _InfoNCE.apply(query, positive, queue, float(temperature), chunk)


@MODELS.register_module()
class InfoNCE(nn.Module):
    """Mean :func:`info_nce` over the rows.

    Args:
        temperature (float): Temperature of the softmax. Defaults to 0.2.
        chunk (int, optional): Queue columns handled at a time. Defaults to
            None, see :func:`info_nce`.
    """

    def __init__(self,
                 temperature: float = 0.2,
                 chunk: Optional[int] = None) -> None:
        super().__init__()
        self.temperature = temperature
        self.chunk = chunk

    def forward(self, query: Tensor, positive: Tensor,
                queue: Tensor) -> Tensor:
        """Get the mean loss.

        Args:
            query (Tensor): Queries, ``(N, C)``.
            positive (Tensor): Positive similarities, ``(N,)``.
            queue (Tensor): Negative keys, ``(C, K)``.

        Returns:
            Tensor: The loss, a scalar.
        """
        return info_nce(query, positive, queue, self.temperature,
                        self.chunk).mean()

    def extra_repr(self) -> str:
        """Describe the module when it is printed."""
        return f'temperature={self.temperature}, chunk={self.chunk}'


@MODELS.register_module()
class LogitInfoNCE(nn.Module):
    """InfoNCE through a head that wants the whole matrix of logits.

    For comparisons with mmpretrain's ``ContrastiveHead``, bit for bit; it
    needs several copies of the ``N x (1+K)`` logits. Train with
    :class:`InfoNCE`.

    Args:
        head (dict): Config of a head with ``loss(positive, negative)``.
            Defaults to mmpretrain's ``ContrastiveHead`` at temperature 0.2.
    """

    def __init__(self, head: Optional[dict] = None) -> None:
        super().__init__()
        self.head = MODELS.build(
            head or dict(
                type='mmpretrain.ContrastiveHead',
                loss=dict(type='mmpretrain.CrossEntropyLoss'),
                temperature=0.2))

    def forward(self, query: Tensor, positive: Tensor,
                queue: Tensor) -> Tensor:
        """Get the mean loss.

        Args:
            query (Tensor): Queries, ``(N, C)``.
            positive (Tensor): Positive similarities, ``(N,)``.
            queue (Tensor): Negative keys, ``(C, K)``.

        Returns:
            Tensor: The loss, a scalar.
        """
        # The backward pass reads the queue after it has been overwritten.
        negative_NK = torch.einsum('nc,ck->nk', [query, queue.clone()])
        return self.head.loss(positive.unsqueeze(-1), negative_NK)
