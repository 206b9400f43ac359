# Copyright (c) mmmultissl contributors. All rights reserved.
"""What tasks that compare sound with an image have in common."""
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
from torch import Tensor

from ..heads import FusionHead, LayoutEmbedding, TwoTowerHead
from ..losses import binary_matching
from ..selfsup.encoded_views import TaskViews
from .base import PretextTask


class AudioVisualTask(PretextTask):
    """Compares the sound, from the trunk, with an image, from a companion.

    A sound's embedding is the mean of the trunk's last map over frequency and
    time; an image's is a
    :class:`~mmmultissl.models.heads.LayoutEmbedding`. Both go through one
    head: one perceptron for both together where pairs are scored, one for
    each where distances are compared.

    Args:
        variant (str): One of :attr:`variants`.
        outputs (int): Outputs of the head of scored pairs.
        audio_channels (int): Channels of the trunk's last map.
        visual (dict): Arguments of the LayoutEmbedding.
        hidden_channels (int): Width of the head.
        dropout (float): Of the head of scored pairs.
        companion (str): Name of the encoder of the images.
        image_view (str): Name of the view with the images.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no such variant.
    """

    #: All variants of the task.
    variants: Tuple[str, ...] = ()
    #: Those that compare distances.
    distance_variants: Tuple[str, ...] = ()

    def __init__(self,
                 variant: str,
                 outputs: int,
                 audio_channels: int,
                 visual: dict,
                 hidden_channels: int,
                 dropout: float,
                 companion: str,
                 image_view: str,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        check_variant(self, variant)
        self.variant = variant
        self.companion_views = ((companion, image_view), )
        self.layout = LayoutEmbedding(
            **{key: value for key, value in visual.items()
               if key != '_scope_'})
        channels = (audio_channels, self.layout.out_channels)
        if variant in self.distance_variants:
            self.head = TwoTowerHead(*channels, hidden_channels)
        else:
            self.head = FusionHead(
                channels, outputs, hidden_channels, dropout, products=2)

    def compilable_modules(self) -> List[nn.Module]:
        """Get the embedding and the head."""
        return [self.layout, self.head]

    def embed_sound(self, views: TaskViews, view: str) -> Tensor:
        """Embed a view of the sound.

        Args:
            views (TaskViews): The encoded views.
            view (str): Its name.

        Returns:
            Tensor: ``(N, audio_channels)``.
        """
        return views.query(view)[-1].mean((2, 3))

    def embed_image(self, views: TaskViews) -> Tensor:
        """Embed the image.

        Args:
            views (TaskViews): The encoded views.

        Returns:
            Tensor: ``(N, layout.out_channels)``.
        """
        return self.layout(views.companion(*self.companion_views[0])[-1])

    def score_pairs(self, true: Tensor, false: Tensor,
                    image: Tensor) -> Dict[str, Tensor]:
        """Score an image with its sound and with a false one.

        Args:
            true (Tensor): Embeddings of the sounds, ``(N, C)``.
            false (Tensor): Of the false ones, ``(N, C)``.
            image (Tensor): Of the images, ``(N, D)``.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``, see
            :func:`~mmmultissl.models.losses.binary_matching`.
        """
        scores = self.head(torch.cat([true, false]), image.repeat(2, 1))
        return binary_matching(*scores.squeeze(1).chunk(2))

    def project(self, true: Tensor, false: Tensor,
                image: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Bring sounds and images into the space of distances.

        Args:
            true (Tensor): Embeddings of the sounds, ``(N, C)``.
            false (Tensor): Of the false ones, ``(N, C)``.
            image (Tensor): Of the images, ``(N, D)``.

        Returns:
            tuple[Tensor]: Unit vectors of images, sounds and false sounds.
        """
        sounds, image = self.head(torch.cat([true, false]), image)
        return (image, *sounds.chunk(2))


def check_variant(task: PretextTask, variant: str) -> None:
    """Refuse a variant that a task does not have.

    Args:
        task (PretextTask): A task with ``variants``.
        variant (str): The variant.

    Raises:
        ValueError: If it is none of them.
    """
    if variant not in task.variants:
        raise ValueError(
            f'{type(task).__name__} has no variant "{variant}": set one of '
            f'{", ".join(task.variants)}.')
