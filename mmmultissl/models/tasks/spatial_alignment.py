# Copyright (c) mmmultissl contributors. All rights reserved.
"""Does the sound come from where the image shows its source?"""
from typing import Dict, Optional

import torch.nn.functional as F
from torch import Tensor

from mmmultissl.registry import MODELS

from ..losses import hard_info_nce
from ..selfsup.encoded_views import TaskViews
from .audio_visual import AudioVisualTask
from .labels import labels_of

_FLIPPED = 'flipped'


@MODELS.register_module()
class SpatialAlignmentTask(AudioVisualTask):
    """Tell whether a binaural clip and a frame face the same way.

    "Spatial alignment" is one of three binaural tasks of "Sound and Visual
    Representation Learning with Multiple Pretraining Tasks" (CVPR 2022). Only
    its name is known to us; what follows is our choice, after the works named
    with the variants.

    ============= ==================== ================== ====================
    variant       sounds it reads      labels it reads    chance of `accuracy`
    ============= ==================== ================== ====================
    binary        clip, rotated        none               1/2
    flip          clip                 none               1/2
    heading       rotated              `rotation`         1 / headings
    contrastive   clip, rotated        none               1/2 (`top1`: 1/(2N))
    ============= ==================== ================== ====================

    All read the view ``frame``, which faces the way of ``clip``.

    - ``binary``: ``(clip, frame)`` is scored towards 1 and ``(rotated,
      frame)`` towards 0, where ``rotated`` is the same time heard by a head
      turned by a multiple of 90 degrees. Both are in every batch.
    - ``flip``: the false sound is the clip with its ears swapped (Yang,
      Russell and Salamon, CVPR 2020). The view ``flipped`` is made from
      ``clip`` by swapping the halves of its channels, so it needs two
      microphones, and no rotated recording.
    - ``heading``: by how many steps the head of ``rotated`` is turned against
      the frame; cross-entropy. The field ``rotation`` of a data sample is a
      whole number with ``|rotation| < headings``, counted anticlockwise and
      taken modulo ``headings``. The data set must draw 0 too: ``rotations=
      (0, 1, 2, 3)``.
    - ``contrastive``: InfoNCE over viewpoints (Morgado, Li and Vasconcelos,
      NeurIPS 2020): a frame's clip among the clips of the batch and the
      rotated ones, of which its own is the hard negative.

    With plain stereo ``rotated`` is the clip with its ears swapped, so that
    ``binary`` does there what ``flip`` does.

    Args:
        variant (str): See above. Defaults to 'binary'.
        audio_channels (int): Channels of the trunk's last map.
            Defaults to 256 (``OmniAudioNet``).
        visual (dict, optional): Arguments of
            :class:`~mmmultissl.models.heads.LayoutEmbedding`, which must keep
            cells, or the task cannot be solved. Defaults to its own: 8
            channels in 7 x 14 cells of a map of 512 channels.
        headings (int): Number of headings a turn has. Defaults to 4.
        hidden_channels (int): Width of the head. Defaults to 512.
        dropout (float): Of the head, except for ``contrastive``.
            Defaults to 0.5.
        temperature (float): Of ``contrastive``. Defaults to 0.07.
        companion (str): Name of the frames' encoder. Defaults to 'visual'.
        clip_view (str): Name of the view with the clip. Defaults to 'clip'.
        rotated_view (str): Of the turned one. Defaults to 'rotated'.
        frame_view (str): Of the frame. Defaults to 'frame'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no such variant, or the layout of the frame is
            thrown away.
    """

    variants = ('binary', 'flip', 'heading', 'contrastive')
    distance_variants = ('contrastive', )

    def __init__(self,
                 variant: str = 'binary',
                 audio_channels: int = 256,
                 visual: Optional[dict] = None,
                 headings: int = 4,
                 hidden_channels: int = 512,
                 dropout: float = 0.5,
                 temperature: float = 0.07,
                 companion: str = 'visual',
                 clip_view: str = 'clip',
                 rotated_view: str = 'rotated',
                 frame_view: str = 'frame',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            variant,
            headings if variant == 'heading' else 1,
            audio_channels,
            visual or {},
            hidden_channels,
            dropout,
            companion,
            frame_view,
            init_cfg=init_cfg)
        if self.layout.reduce is None:
            raise ValueError(
                'SpatialAlignmentTask got visual.channels=0, which forgets '
                'where things are in the frame: set 8, for example.')
        if headings < 2:
            raise ValueError(f'SpatialAlignmentTask got headings={headings}: '
                             'set at least 2, such as 4.')
        self.headings = headings
        self.temperature = temperature
        self.clip_view = clip_view
        self.false_view = _FLIPPED if variant == 'flip' else rotated_view
        self.query_views = (self.false_view, ) if variant == 'heading' else (
            clip_view, self.false_view)

    def derived_views(self) -> dict:
        """Get the clip with its ears swapped, for the variant ``flip``."""
        if self.variant != 'flip':
            return {}
        return {_FLIPPED: (self.clip_view, swap_ears)}

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the loss.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): With ``rotation``, read by the
                variant ``heading`` only.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``; ``top1`` too for
            ``contrastive``.
        """
        image = self.embed_image(views)
        false = self.embed_sound(views, self.false_view)
        if self.variant == 'heading':
            return self._heading_loss(false, image, data_samples)
        true = self.embed_sound(views, self.clip_view)
        if self.variant == 'contrastive':
            return hard_info_nce(*self.project(true, false, image),
                                 self.temperature)
        return self.score_pairs(true, false, image)

    def _heading_loss(self, sound: Tensor, image: Tensor,
                      data_samples: Optional[list]) -> Dict[str, Tensor]:
        turn = labels_of(data_samples, 'rotation', 'SpatialAlignmentTask',
                         self._check_turn).to(sound.device, non_blocking=True)
        logits = self.head(sound, image)
        return dict(
            loss=F.cross_entropy(logits, turn),
            accuracy=(logits.detach().argmax(1) == turn).float().mean())

    def _check_turn(self, turn: int) -> int:
        if abs(turn) >= self.headings:
            raise ValueError(
                f'A data sample has rotation={turn}, but SpatialAlignmentTask '
                f'tells {self.headings} headings apart: set model.tasks.*.'
                'headings to the number of binaural pairs of the data.')
        return turn % self.headings


def swap_ears(spectrograms: Tensor) -> Tensor:
    """Exchange left and right.

    Args:
        spectrograms (Tensor): ``(N, 2 * c, F, T)``, the c channels of the
            left ear, then those of the right one.

    Returns:
        Tensor: The same with the right ear first.

    Raises:
        ValueError: If the channels cannot be those of two ears.
    """
    if spectrograms.size(1) % 2:
        raise ValueError(
            f'The clip has {spectrograms.size(1)} channels, so its ears '
            'cannot be swapped: the variant "flip" needs binaural sound.')
    return spectrograms.unflatten(1, (2, -1)).flip(1).flatten(1, 2)
