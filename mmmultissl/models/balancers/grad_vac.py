# Copyright (c) mmmultissl contributors. All rights reserved.
"""Gradients turned towards the angles that they usually have."""
from typing import List, Tuple

import torch
from torch import Tensor

from mmmultissl.registry import MODELS

from .gram import norms
from .random_order import RandomOrderBalancer


def grad_vac_weights(gram: Tensor, others: Tensor, targets: Tensor,
                     momentum: float) -> Tuple[Tensor, Tensor]:
    """Get the weights that turning the gradients amounts to.

    Algorithm 1 of the paper. A changed gradient is a
    combination of the original ones, so its inner products with them follow
    from the Gram matrix.

    Args:
        gram (Tensor): Inner products of the gradients, ``(T, T)``.
        others (Tensor): Row t: the other tasks, in the order in which t is
            compared with them, ``(T, T - 1)``.
        targets (Tensor): Running means of the cosines, ``(T, T)``.
        momentum (float): Share of a step's cosine in them.

    Returns:
        tuple[Tensor]: The weights, ``(T, )``, and the new running means.
    """
    lengths, there = norms(gram)
    mixed = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    targets = targets.clone()
    for other in others.t():
        other = other[:, None]
        product = (mixed * gram[other[:, 0]]).sum(1, keepdim=True)
        own = (mixed @ gram * mixed).sum(1, keepdim=True).clamp(min=0).sqrt()
        length = lengths[other]
        both = there[:, None] & there[other] & (own > 1e-12 * length)
        cosine = (product / (own * length)).clamp(-1, 1)
        cosine = torch.where(both, cosine, torch.zeros_like(cosine))
        # At 1 there would be nothing left to turn towards.
        target = targets.gather(1, other).clamp(-1 + 1e-6, 1 - 1e-6)
        sine = (1 - target**2).sqrt()
        turn = own * (target * (1 - cosine**2).sqrt() - cosine * sine) / (
            length * sine)
        turn = torch.where(both & (cosine < target), turn,
                           torch.zeros_like(turn))
        mixed = mixed.scatter_add(1, other, turn)
        seen = torch.where(both, targets.gather(1, other).lerp(
            cosine, momentum), targets.gather(1, other))
        targets = targets.scatter(1, other, seen)
    return mixed.sum(0) * there, targets


@MODELS.register_module()
class GradVac(RandomOrderBalancer):
    """Turns each gradient towards another one where they are further apart
    than usual.

    `Gradient Vaccine <https://arxiv.org/abs/2010.05874>`_, with one cosine
    for all features (the paper has one for each layer). Running means of the
    cosines start at 0 and are in the checkpoint; where they stay at 0 it is
    PCGrad. See :class:`GradientBalancer` for what is weighed.

    Args:
        momentum (float): Share of a step's cosine in its running mean, in
            [0, 1]. Defaults to 0.01 (the paper's beta).
        seed (int): The seed of the orders. Defaults to 0.

    Raises:
        ValueError: If the momentum is outside [0, 1].
    """

    def __init__(self, momentum: float = 0.01, seed: int = 0) -> None:
        super().__init__(seed)
        if not 0 <= momentum <= 1:
            raise ValueError(f'The momentum of GradVac is {momentum}: set a '
                             'number from 0 to 1.')
        self.momentum = momentum

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        self.register_buffer('cosines', torch.zeros(len(names), len(names)))

    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``.
        """
        weights, cosines = grad_vac_weights(
            gram, self.others(gram.device), self.cosines.to(gram),
            self.momentum)
        self.cosines.copy_(cosines)
        return weights
