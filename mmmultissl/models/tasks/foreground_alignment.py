# Copyright (c) mmmultissl contributors. All rights reserved.
"""Does the sound belong to the moment that the image shows?"""
from typing import Dict, Optional

from torch import Tensor

from mmmultissl.registry import MODELS

from ..losses import hard_info_nce, margin_matching
from ..selfsup.encoded_views import TaskViews
from .audio_visual import AudioVisualTask


@MODELS.register_module()
class ForegroundAlignmentTask(AudioVisualTask):
    """Tell whether sounding foreground and binaural sound are simultaneous.

    "Temporal synchronization of foreground objects and binaural audio" is one
    of three binaural tasks of "Sound and Visual Representation Learning with
    Multiple Pretraining Tasks" (CVPR 2022). Only its names are known to us;
    what follows is our choice, after Owens and Efros (ECCV 2018), who score
    true and shifted sound of the same video.

    The image is the view ``foreground``, a frame without its background; the
    sounds are ``clip``, at the same time, and ``shifted``, from the same
    recording at least 2 s away. No label is read.

    - ``binary``: ``(clip, foreground)`` is scored towards 1 and ``(shifted,
      foreground)`` towards 0; both are in every batch.
    - ``margin``: the clip is drawn near the foreground and the shifted one
      pushed beyond a margin.
    - ``infonce``: a foreground's clip among the clips of the batch and the
      shifted ones, of which its own is the hard negative.

    ``accuracy`` is the share of right answers between the two sounds of a
    foreground; chance is 1/2 in all variants. ``binary`` asks for the right
    side of 0 of either score, the others for the smaller distance.

    Args:
        variant (str): See above. Defaults to 'binary'.
        audio_channels (int): Channels of the trunk's last map.
            Defaults to 256 (``OmniAudioNet``).
        visual (dict, optional): Arguments of
            :class:`~mmmultissl.models.heads.LayoutEmbedding`. Defaults to
            ``dict(with_mean=True)``: where things are, and, by the mean of
            the map, what they are.
        hidden_channels (int): Width of the head. Defaults to 512.
        dropout (float): Of the head of ``binary``. Defaults to 0.5.
        margin (float): Of ``margin``, between 0 and 2, the distances of unit
            vectors. Defaults to 1.
        temperature (float): Of ``infonce``. Defaults to 0.07.
        companion (str): Name of the images' encoder. Defaults to 'visual'.
        clip_view (str): Name of the view with the clip. Defaults to 'clip'.
        shifted_view (str): Of the shifted one. Defaults to 'shifted'.
        foreground_view (str): Of the image. Defaults to 'foreground'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no such variant, or the margin is outside
            (0, 2].
    """

    variants = ('binary', 'margin', 'infonce')
    distance_variants = ('margin', 'infonce')

    def __init__(self,
                 variant: str = 'binary',
                 audio_channels: int = 256,
                 visual: Optional[dict] = None,
                 hidden_channels: int = 512,
                 dropout: float = 0.5,
                 margin: float = 1.,
                 temperature: float = 0.07,
                 companion: str = 'visual',
                 clip_view: str = 'clip',
                 shifted_view: str = 'shifted',
                 foreground_view: str = 'foreground',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            variant,
            1,
            audio_channels,
            dict(with_mean=True) if visual is None else visual,
            hidden_channels,
            dropout,
            companion,
            foreground_view,
            init_cfg=init_cfg)
        if not 0 < margin <= 2:
            raise ValueError(
                f'ForegroundAlignmentTask got margin={margin}: unit vectors '
                'are at most 2 apart, so set a number in (0, 2].')
        self.margin = margin
        self.temperature = temperature
        self.query_views = (clip_view, shifted_view)

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the loss.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``; ``top1`` too for
            ``infonce``.
        """
        image = self.embed_image(views)
        true, false = (self.embed_sound(views, v) for v in self.query_views)
        if self.variant == 'binary':
            return self.score_pairs(true, false, image)
        vectors = self.project(true, false, image)
        if self.variant == 'margin':
            return margin_matching(*vectors, self.margin)
        return hard_info_nce(*vectors, self.temperature)
