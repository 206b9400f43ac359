# Copyright (c) mmmultissl contributors. All rights reserved.
"""Views of a batch, each encoded once for all tasks."""
from typing import Callable, Dict, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..utils import batch_shuffle, no_shuffle
from .momentum_encoder import MomentumEncoder

Features = Tuple[Tensor, ...]


class KeyView:
    """A view encoded by an EMA trunk, without gradient.

    Under shuffle-BN the features are in the shuffled order, of samples that
    other processes own. Compute from them what the loss needs and put that
    back with :meth:`unshuffle`; features are large and outputs are not.

    Args:
        features (tuple[Tensor]): Trunk maps, each ``(N, C, H, W)``.
        unshuffle (Callable): Puts ``(N, ...)`` back into the batch's order.
    """

    def __init__(self, features: Features,
                 unshuffle: Callable[[Tensor], Tensor]) -> None:
        self.features = features
        self.unshuffle = unshuffle


class EncodedViews:
    """What the encoders make of the views of one batch.

    A view is encoded when it is first asked for, once per encoder, and every
    task gets the same tensors.

    Args:
        inputs (dict): View name -> images, ``(N, 3, H, W)``.
        backbone (nn.Module): The online trunk.
        shuffle_keys (bool): Whether keys are computed on a shuffled batch.
    """

    def __init__(self, inputs: Dict[str, Tensor], backbone: nn.Module,
                 shuffle_keys: bool) -> None:
        self.inputs = inputs
        self._backbone = backbone
        self._shuffle = batch_shuffle if shuffle_keys else no_shuffle
        self._query: Dict[str, Features] = {}
        self._key: Dict[Tuple[int, str], KeyView] = {}

    def _input(self, view: str, wanted_by: str) -> Tensor:
        if view not in self.inputs:
            raise ValueError(
                f'{wanted_by} reads the view "{view}", but the batch has '
                f'{", ".join(self.inputs)}: name one of these in the task, '
                'or add the view to the data pipeline (num_views of '
                'MultiView).')
        return self.inputs[view]

    def query(self, view: str, wanted_by: str = 'A task') -> Features:
        """Get a view encoded by the online trunk.

        Args:
            view (str): Name of the view.
            wanted_by (str): Who asks, for the error. Defaults to 'A task'.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``.

        Raises:
            ValueError: If the batch has no such view.
        """
        if view not in self._query:
            self._query[view] = self._backbone(self._input(view, wanted_by))
        return self._query[view]

    @torch.no_grad()
    def key(self,
            view: str,
            encoder: MomentumEncoder,
            wanted_by: str = 'A task') -> KeyView:
        """Get a view encoded by an EMA trunk.

        Args:
            view (str): Name of the view.
            encoder (MomentumEncoder): The EMA trunk, already up to date.
            wanted_by (str): Who asks, for the error. Defaults to 'A task'.

        Returns:
            KeyView: Its features, and the way back to the batch's order.

        Raises:
            ValueError: If the batch has no such view.
        """
        if (id(encoder), view) not in self._key:
            images, unshuffle = self._shuffle(self._input(view, wanted_by))
            self._key[id(encoder), view] = KeyView(
                encoder.backbone(images), unshuffle)
        return self._key[id(encoder), view]


class TaskViews:
    """The encoded views as one task sees them.

    Args:
        views (EncodedViews): The views of all tasks.
        task (str): Name of the task.
        encoder (MomentumEncoder, optional): The EMA trunk that the task
            shares. None for a task that reads no keys.
    """

    def __init__(self, views: EncodedViews, task: str,
                 encoder: MomentumEncoder = None) -> None:
        self._views = views
        self._task = task
        self._encoder = encoder

    def query(self, view: str) -> Features:
        """Get a view encoded by the online trunk, with gradient.

        Args:
            view (str): Name of the view.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``.
        """
        return self._views.query(view, f'Task "{self._task}"')

    def key(self, view: str) -> KeyView:
        """Get a view encoded by the task's EMA trunk, without gradient.

        Args:
            view (str): Name of the view.

        Returns:
            KeyView: Its features, and the way back to the batch's order.
        """
        return self._views.key(view, self._require_encoder(),
                               f'Task "{self._task}"')

    def momentum(self, module: str) -> nn.Module:
        """Get the EMA copy of one of the task's own modules.

        Args:
            module (str): Its name in the task's ``momentum_modules()``.

        Returns:
            nn.Module: The copy, up to date.
        """
        return self._require_encoder().tasks[self._task][module]

    def _require_encoder(self) -> MomentumEncoder:
        if self._encoder is None:
            raise RuntimeError(
                f'Task "{self._task}" reads keys but names no EMA schedule: '
                'give it a `momentum`, such as 0.001.')
        return self._encoder
