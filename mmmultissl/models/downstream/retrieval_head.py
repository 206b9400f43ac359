# Copyright (c) mmmultissl contributors. All rights reserved.
"""Sounds and frames in one space, to find one by the other."""
from typing import Dict, List, Optional, Tuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from ..heads import LayoutEmbedding
from .pooling import PooledMap


@MODELS.register_module()
class RetrievalHead(BaseModule):
    """Projects sounds and frames linearly to unit vectors that match.

    "Video retrieval" is a downstream task of the paper; only the name is
    known to us. Our choice: sound finds its frame and frame its sound; the
    standardised mean of the audio map (:class:`PooledMap`) and the mean of
    the frame's map each go through one linear layer; InfoNCE both ways at
    temperature 0.07 over the batch of each process.
    :class:`~mmmultissl.evaluation.binaural.RetrievalRecall` judges.

    The frame's map is that of the ``companion`` of ``BinauralDownstream``.

    Args:
        audio_channels (int): Channels of the backbone's last map.
            Defaults to 256 (``OmniAudioNet``).
        visual (dict, optional): Arguments of
            :class:`~mmmultissl.models.heads.LayoutEmbedding`, which describes
            the frame. One with cells knows where things are, which the mean
            forgets; it is linear as well. Defaults to None: the mean of a map
            of 512 channels.
        out_channels (int): Length of the vectors. Defaults to 128.
        temperature (float): Divides the similarities. Defaults to 0.07.
        view (str): View of the frames. Defaults to 'frame'.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If the temperature is not positive.
    """

    def __init__(self,
                 audio_channels: int = 256,
                 visual: Optional[dict] = None,
                 out_channels: int = 128,
                 temperature: float = 0.07,
                 view: str = 'frame',
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        if temperature <= 0:
            raise ValueError(f'RetrievalHead got temperature={temperature}; '
                             'give a positive one, such as 0.07.')
        self.temperature = temperature
        self.features_name = f'{view}_features'
        self.layout = LayoutEmbedding(
            **(visual or dict(channels=0, with_mean=True)))
        self.pool = PooledMap(audio_channels)
        self.audio_projection = nn.Linear(audio_channels, out_channels)
        self.visual_projection = nn.Linear(self.layout.out_channels,
                                           out_channels)

    def embed(self, features: Tuple[Tensor, ...],
              inputs: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """Describe sounds and frames.

        Args:
            features (tuple[Tensor]): Maps of the sounds; the last one,
                ``(N, audio_channels, F, T)``, is read.
            inputs (dict[str, Tensor]): With the maps of the frames.

        Returns:
            tuple[Tensor, Tensor]: Unit vectors of the sounds and of the
            frames, ``(N, out_channels)`` each, at least float32.

        Raises:
            ValueError: If there are no maps of frames.
        """
        if self.features_name not in inputs:
            raise ValueError(
                f'RetrievalHead reads "{self.features_name}", which a '
                'companion makes: set model.companion to an encoder of '
                'frames.')
        frame_map = inputs[self.features_name][-1]
        return (_unit(self.audio_projection(self.pool(features[-1]))),
                _unit(self.visual_projection(self.layout(frame_map))))

    def loss(self,
             features: Tuple[Tensor, ...],
             inputs: Dict[str, Tensor],
             data_samples: Optional[List[DataSample]] = None
             ) -> Dict[str, Tensor]:
        """Draw a sound and its frame together, away from the batch's others.

        Args:
            features (tuple[Tensor]): Maps of the sounds.
            inputs (dict[str, Tensor]): With the maps of the frames.
            data_samples (list[DataSample], optional): Not read.

        Returns:
            dict[str, Tensor]: ``loss``, the mean of both ways, and
            ``accuracy``, the share of sounds whose frame is the most similar
            one of the batch (chance: 1 / N).
        """
        sound, frame = self.embed(features, inputs)
        own = torch.arange(len(sound), device=sound.device)
        # Autocast would round the similarities to 8 bits.
        with torch.autocast(sound.device.type, enabled=False):
            logits_NN = sound @ frame.t() / self.temperature
            loss = 0.5 * (
                F.cross_entropy(logits_NN, own) +
                F.cross_entropy(logits_NN.t(), own))
        found = (logits_NN.detach().argmax(1) == own).float()
        return dict(loss=loss, accuracy=found.mean())

    def predict(self,
                features: Tuple[Tensor, ...],
                inputs: Dict[str, Tensor],
                data_samples: Optional[List[DataSample]] = None
                ) -> List[DataSample]:
        """Describe sounds and frames for the metric.

        Args:
            features (tuple[Tensor]): Maps of the sounds.
            inputs (dict[str, Tensor]): With the maps of the frames.
            data_samples (list[DataSample], optional): Those of the batch.

        Returns:
            list[DataSample]: The same samples with ``sound_embedding`` and
            ``frame_embedding``, ``(out_channels,)`` each.
        """
        sounds, frames = self.embed(features, inputs)
        samples = data_samples or [DataSample() for _ in sounds]
        for sample, sound, frame in zip(samples, sounds, frames):
            sample.set_field(sound, 'sound_embedding', dtype=Tensor)
            sample.set_field(frame, 'frame_embedding', dtype=Tensor)
        return samples


def _unit(x: Tensor) -> Tensor:
    return F.normalize(
        x.to(torch.promote_types(x.dtype, torch.float32)), dim=1)
