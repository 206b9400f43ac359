# Copyright (c) mmmultissl contributors. All rights reserved.
"""What every balancer is."""
from abc import ABCMeta, abstractmethod
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from torch import Tensor

from ..utils import RingQueue

TaskLosses = Dict[str, Dict[str, Tensor]]


class Balancer(BaseModule, metaclass=ABCMeta):
    """Makes one loss of the losses of several tasks."""

    #: Tensor, optional: Inner products of the tasks' gradients on the trunk's
    #: features in the last step, ``(T, T)``; None where it does not see them.
    last_gram: Optional[Tensor] = None

    _positive = False

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are, before anything is trained.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        self.names = list(names)

    def set_queues(self, queues: Sequence[RingQueue]) -> None:
        """Learn which queues the tasks have.

        Losses rise while a queue fills, so ratios of losses mean nothing
        before all are full.

        Args:
            queues (Sequence[RingQueue]): The queues of all tasks.
        """
        # In a tuple, or their keys would be in the state dict twice.
        self.queues = tuple(queues)

    def set_pass_length(self, iterations: Optional[int]) -> None:
        """Learn how many iterations a pass over the data has.

        Args:
            iterations (int, optional): Their number; None: not known.
        """

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimiser that the balancer cannot work with.

        Args:
            optimizer (torch.optim.Optimizer): One that trains the model.
        """

    @abstractmethod
    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Weigh the losses.

        Args:
            losses (dict): Task -> loss name -> scalar. Entries without
                "loss" in the name are only logged and stay as they are.

        Returns:
            dict: The same, weighted; mmengine sums them.
        """

    def may_read_ratios(self, steps: int, begin_iter: Optional[int]) -> bool:
        """Tell whether ratios of losses mean something by now.

        Args:
            steps (int): Steps that were trained.
            begin_iter (int, optional): The step from which on they do; None:
                from when all queues are full.

        Returns:
            bool: Whether they do.
        """
        if begin_iter is not None:
            return steps >= begin_iter
        return all(queue.is_full for queue in self.queues)

    def require_positive(self, totals: Tensor, or_zero: bool = False) -> None:
        """Refuse negative losses, of which ratios mean the opposite.

        Only the first losses are looked at: reading a number makes the device
        wait.

        Args:
            totals (Tensor): From :meth:`totals`.
            or_zero (bool): Whether a loss may be 0. Defaults to False.

        Raises:
            ValueError: If the loss of a task is not positive.
        """
        if self._positive:
            return
        for task, value in zip(self.names, totals.tolist()):
            if value < 0 or (value == 0 and not or_zero):
                raise ValueError(
                    f'The loss of the task "{task}" is {value:.4g}, and '
                    f'{type(self).__name__} needs positive losses: use '
                    'another balancer, or a loss of that task that is '
                    'bounded by 0.')
        self._positive = True

    def totals(self, losses: TaskLosses) -> Tensor:
        """Get the loss of each task: the sum of its entries, over all ranks.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: The means over the processes, ``(T, )``, float32 or
            float64, without gradient.
        """
        return mean_over_ranks([
            sum(value.detach() for name, value in losses[task].items()
                if 'loss' in name) for task in self.names
        ])


class LossBalancer(Balancer):
    """Multiplies each task's losses by a number that changes from step to
    step, and that is a constant for the gradient.

    What a task trains on its own (heads, companions) is weighed too. Weights
    are computed from the mean losses of all processes, so they are the same
    on all, and logged as ``{task}.weight``.
    """

    @abstractmethod
    def weights(self, losses: TaskLosses) -> Tensor:
        """Get the weights of this step, and count it if it is trained.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            Tensor: ``(T, )``, without gradient.
        """

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Weigh the losses.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, weighted, and ``weight`` of each task.
        """
        with torch.no_grad():
            weights = self.weights(losses)
        weighed = scale_losses(losses, self.names, weights)
        return {
            task: dict(weighed[task], weight=weight)
            for task, weight in zip(self.names, weights)
        }


class GradientBalancer(Balancer):
    """Weighs the tasks' gradients where they meet: on the trunk's features.

    Losses stay as they are (see :attr:`heads` for the exception), so heads,
    companions and whatever else is a task's own are trained as by a plain
    sum; the trunk gets one weighted sum of the tasks' gradients. This is
    balancing in feature space: inner products are those of gradients on the
    features of this step, and not on the trunk's parameters. There is one
    backward pass through the trunk.

    Weights are a function of the Gram matrix of the gradients, the same on
    all processes, and do not change when all gradients are multiplied by one
    number, so that gradient scalers, accumulation and the number of processes
    leave them alone. A Gram matrix that is not finite (a gradient scaler that
    has gone too far, and will skip the step) or zero gives a plain sum and
    changes no state; so do weights, or a state, that would not be finite (of
    a loss that overflowed). A task alone has the weight 1, and one that sends
    no gradient is left out of the reckoning.

    The weights of the step before are logged as ``{task}.trunk_weight``.
    """

    #: Whether losses are multiplied by the weights of the step before, so
    #: that what is a task's own is weighed too. The trunk gets the weights of
    #: this step all the same.
    heads = False
    _factors: Optional[Tensor] = None

    def set_tasks(self, names: List[str]) -> None:
        """Learn which tasks there are.

        Args:
            names (list[str]): The names of the tasks, in their order.
        """
        super().set_tasks(names)
        self.register_buffer(
            'last_weights', torch.ones(len(names)))

    @abstractmethod
    def weights(self, gram: Tensor) -> Tensor:
        """Get the weights of the gradients.

        State that it changes has to lie in buffers.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``,
                float64, finite, not all zero, T at least 2.

        Returns:
            Tensor: ``(T, )``, float64.
        """

    @torch.no_grad()
    def combine(self, gram: Tensor) -> Optional[Tensor]:
        """Get the weights of a step, in its backward pass.

        Args:
            gram (Tensor): Inner products of the gradients, ``(T, T)``.

        Returns:
            Tensor: ``(T, )``; None is a plain sum.
        """
        factors = torch.ones_like(gram[0])
        if self._factors is not None:
            # Back to the gradients of the losses as they are.
            factors = self._factors.to(gram)
            gram = gram / factors / factors[:, None]
        self.last_gram = gram
        if len(self.names) == 1:
            return factors
        # A choice on the device, which the host need not wait for.
        usable = gram.isfinite().all() & (gram.diagonal().max() > 0)
        before = [buffer.clone() for buffer in self.buffers()]
        some = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weights = self.weights(torch.where(usable, gram, some).double())
        self.last_weights.copy_(weights)
        for buffer in self.buffers():
            usable &= buffer.isfinite().all()
        for buffer, old in zip(self.buffers(), before):
            buffer.copy_(torch.where(usable, buffer, old))
        return torch.where(usable, weights, torch.ones_like(weights)) / factors

    def forward(self, losses: TaskLosses) -> TaskLosses:
        """Leave the losses as they are, or weigh them for the heads.

        Args:
            losses (dict): Task -> loss name -> scalar.

        Returns:
            dict: The same, and ``trunk_weight`` of each task.
        """
        last = self.last_weights.clone()
        self._factors = None
        if self.heads and self.training and len(self.names) > 1:
            # A task without gradient had the weight 0, which it could never
            # leave again.
            self._factors = torch.where(last > 0, last, torch.ones_like(last))
            losses = scale_losses(losses, self.names, self._factors)
        return {
            task: dict(losses[task], trunk_weight=weight)
            for task, weight in zip(self.names, last)
        }


def scale_losses(losses: TaskLosses, names: Sequence[str],
                 weights: Tensor) -> TaskLosses:
    """Multiply the losses of each task by a number.

    Args:
        losses (dict): Task -> loss name -> scalar; entries without "loss" in
            the name stay as they are.
        names (Sequence[str]): The tasks of the weights.
        weights (Tensor): ``(T, )``.

    Returns:
        dict: The same, weighted.
    """
    return {
        task: {
            name: value * weight.to(value) if 'loss' in name else value
            for name, value in losses[task].items()
        }
        for task, weight in zip(names, weights)
    }


def mean_over_ranks(numbers: Sequence[Tensor]) -> Tensor:
    """Average one number for each task over the processes.

    Args:
        numbers (Sequence[Tensor]): Scalars of this process.

    Returns:
        Tensor: ``(T, )``, at least float32, without gradient.
    """
    first = numbers[0]
    dtype = torch.promote_types(first.dtype, torch.float32)
    mean = torch.stack([n.detach().to(dtype) for n in numbers])
    all_reduce(mean, 'mean')
    return mean
