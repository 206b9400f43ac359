# Copyright (c) mmmultissl contributors. All rights reserved.
"""Views of a batch, each encoded once for all tasks."""
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..utils import batch_shuffle, no_shuffle
from .gradient_fork import Combine, fork
from .momentum_encoder import MomentumEncoder

Features = Tuple[Tensor, ...]


class KeyView:
    """A view encoded by an EMA trunk, without gradient.

    Under shuffle-BN the features are in the shuffled order, of samples that
    other processes own. Compute from them what the loss needs and put that
    back with :meth:`unshuffle`, which gathers it over the processes: small
    for outputs, dear for trunk maps.

    Args:
        features (tuple[Tensor]): Trunk maps, each ``(N, C, H, W)``.
        unshuffle (Callable): Puts ``(N, ...)`` back into the batch's order.
    """

    def __init__(self, features: Features,
                 unshuffle: Callable[[Tensor], Tensor]) -> None:
        self.features = features
        self.unshuffle = unshuffle


def require_companion(name: str, companions: Mapping[str, nn.Module],
                      wanted_by: str) -> None:
    """Make sure that there is a companion of a name.

    Args:
        name (str): The name.
        companions (Mapping[str, nn.Module]): Those that there are.
        wanted_by (str): Who asks, for the error.

    Raises:
        ValueError: If there is none.
    """
    if name not in companions:
        raise ValueError(
            f'{wanted_by} reads the companion "{name}", but there is '
            f'{", ".join(companions) or "none"}: add it to model.companions, '
            'or name one that is there.')


class EncodedViews:
    """What the encoders make of the views of one batch.

    A view is encoded when it is first asked for, once per encoder, and every
    task gets the same tensors.

    Args:
        inputs (dict): View name -> images, ``(N, 3, H, W)``, or spectrograms,
            ``(N, M, F, T)``.
        backbone (nn.Module): The online trunk.
        shuffle_keys (bool): Whether keys are computed on a shuffled batch.
        companions (Mapping[str, nn.Module], optional): Name -> encoder of
            another modality. Defaults to None: there are none.
    """

    def __init__(
            self,
            inputs: Dict[str, Tensor],
            backbone: nn.Module,
            shuffle_keys: bool,
            companions: Optional[Mapping[str, nn.Module]] = None) -> None:
        self.inputs = dict(inputs)
        self._backbone = backbone
        self._companions = {} if companions is None else companions
        self._shuffle = batch_shuffle if shuffle_keys else no_shuffle
        self._query: Dict[str, Features] = {}
        # Task -> view -> its copy of the features, once there is a fork.
        self._forked: Dict[str, Dict[str, Features]] = {}
        self._companion: Dict[Tuple[str, str], Features] = {}
        self._key: Dict[Tuple[int, str], KeyView] = {}

    def require(self, names: Sequence[str], wanted_by: str = 'A task') -> None:
        """Make sure that the batch has some views.

        Args:
            names (Sequence[str]): Names of the views.
            wanted_by (str): Who asks, for the error. Defaults to 'A task'.

        Raises:
            ValueError: If the batch lacks one.
        """
        for view in names:
            if view not in self.inputs:
                raise ValueError(
                    f'{wanted_by} reads the view "{view}", but the batch has '
                    f'{", ".join(self.inputs)}: name one of these in the '
                    'task, or add the view to the data pipeline (num_views '
                    'of MultiView).')

    def query(self, view: str) -> Features:
        """Get a view encoded by the online trunk.

        Args:
            view (str): Name of the view.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``.

        Raises:
            ValueError: If the batch has no such view.
        """
        if view not in self._query:
            self.require([view])
            self._query[view] = self._backbone(self.inputs[view])
        return self._query[view]

    def fork(self, tasks: Sequence[str], combine: Combine) -> bool:
        """Give each task a copy of all that the online trunk has encoded.

        Args:
            tasks (Sequence[str]): Names of the tasks.
            combine (Callable): See :func:`.gradient_fork.fork`.

        Returns:
            bool: False, and no copies, where nothing encoded has a gradient.
        """
        trained = [f for features in self._query.values() for f in features
                   if f.requires_grad]
        if not trained:
            return False
        for task, copy in zip(tasks, fork(trained, len(tasks), combine)):
            left = iter(copy)
            self._forked[task] = {
                view: tuple(next(left) if f.requires_grad else f
                            for f in features)
                for view, features in self._query.items()
            }
        return True

    def query_of(self, task: str, view: str) -> Features:
        """Get a task's copy of a view encoded by the online trunk.

        Args:
            task (str): Name of the task.
            view (str): Name of the view.

        Returns:
            tuple[Tensor]: What :meth:`query` gives where there is no fork.

        Raises:
            ValueError: If the view was not encoded when the copies were made.
        """
        if not self._forked:
            return self.query(view)
        views: List[str] = list(self._forked[task])
        if view not in views:
            raise ValueError(
                f'Task "{task}" reads the view "{view}" from the trunk but '
                'does not name it, so the balancer would not see its '
                'gradient: add it to query_views of the task.')
        return self._forked[task][view]

    @property
    def queries(self) -> Dict[str, Features]:
        """dict[str, tuple]: What the online trunk has encoded, by view."""
        return dict(self._query)

    @property
    def keys(self) -> Dict[str, KeyView]:
        """dict[str, KeyView]: What EMA trunks have encoded, by view; of a
        view that several have, the first one's."""
        return {view: key for (_, view), key in reversed(self._key.items())}

    def derive(self, view: str, source: str,
               function: Callable[[Tensor], Tensor]) -> None:
        """Add a view that is a function of another one.

        Args:
            view (str): Name of the new view. Nothing is done where there is
                one of that name.
            source (str): Name of the view that it is made from.
            function (Callable): Makes the batch of the one from the other.

        Raises:
            ValueError: If the batch has no such source.
        """
        if view not in self.inputs:
            self.require([source])
            self.inputs[view] = function(self.inputs[source])

    def companion(self, encoder: str, view: str) -> Features:
        """Get a view encoded by the encoder of another modality.

        Args:
            encoder (str): Name of the companion.
            view (str): Name of the view.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``.

        Raises:
            ValueError: If there is no such companion or view.
        """
        if (encoder, view) not in self._companion:
            self.require([view])
            require_companion(encoder, self._companions, 'A task')
            self._companion[encoder, view] = self._companions[encoder](
                self.inputs[view])
        return self._companion[encoder, view]

    @torch.no_grad()
    def key(self, view: str, encoder: MomentumEncoder) -> KeyView:
        """Get a view encoded by an EMA trunk.

        Args:
            view (str): Name of the view.
            encoder (MomentumEncoder): The EMA trunk, already up to date.

        Returns:
            KeyView: Its features, and the way back to the batch's order.

        Raises:
            ValueError: If the batch has no such view.
        """
        if (id(encoder), view) not in self._key:
            self.require([view])
            images, unshuffle = self._shuffle(self.inputs[view])
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
                 encoder: Optional[MomentumEncoder] = None) -> None:
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
        return self._views.query_of(self._task, view)

    def input(self, view: str) -> Tensor:
        """Get a view as it is, for an encoder of the task's own.

        Args:
            view (str): Name of the view.

        Returns:
            Tensor: Images ``(N, 3, H, W)``, or spectrograms
            ``(N, M, F, T)``.

        Raises:
            ValueError: If the batch has no such view.
        """
        self._views.require([view], f'Task "{self._task}"')
        return self._views.inputs[view]

    def companion(self, encoder: str, view: str) -> Features:
        """Get a view encoded by a companion, with gradient.

        Args:
            encoder (str): Name of the companion, as in ``model.companions``.
            view (str): Name of the view.

        Returns:
            tuple[Tensor]: Maps ``(N, C, H, W)``, one per ``out_indices``.
        """
        return self._views.companion(encoder, view)

    def key(self, view: str) -> KeyView:
        """Get a view encoded by the task's EMA trunk, without gradient.

        Args:
            view (str): Name of the view.

        Returns:
            KeyView: Its features, and the way back to the batch's order.
        """
        return self._views.key(view, self._require_encoder())

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
