# Copyright (c) mmmultissl contributors. All rights reserved.
"""Where it sounds: the azimuth of the loudest source."""
from typing import Dict, List, Tuple

import torch
import torch.nn as nn
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from .binaural_downstream import Features
from .pooling import PooledMap


@MODELS.register_module()
class AzimuthHead(BaseModule):
    """Regresses the direction of the loudest source.

    A direct probe of spatial hearing: the standardised mean of the last map
    (:class:`PooledMap`), then a linear layer with two outputs, meant as
    (sin a, cos a) of the azimuth a relative to the head. The loss is their
    squared distance to the unit vector, so an azimuth has no jump at 180
    degrees. The angle of the output is the predicted azimuth. A source that
    may as well be in front as behind gets the mean of both vectors, which
    points to the ear; how far to the side it is can still be read off the
    first output alone, which is the predicted lateral angle's sine. Azimuth
    is no downstream task of the paper; all of this is our choice.

    Args:
        in_channels (int): Channels of the backbone's last map.
        hidden_channels (int): Width of a hidden layer with ReLU; 0 for none,
            a linear probe. Defaults to 0.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.
    """

    def __init__(self,
                 in_channels: int,
                 hidden_channels: int = 0,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.pool = PooledMap(in_channels)
        layers = []
        if hidden_channels:
            layers = [nn.Linear(in_channels, hidden_channels), nn.ReLU()]
        self.direction = nn.Sequential(
            *layers, nn.Linear(hidden_channels or in_channels, 2))

    def forward(self, features: Features) -> Tensor:
        """Compute the vectors.

        Args:
            features (tuple[Tensor]): The backbone's maps.

        Returns:
            Tensor: (sin, cos) times a length, ``(N, 2)``, float32.
        """
        # Under autocast too: rounded to bfloat16 a vector turns by tenths of a
        # degree.
        with torch.autocast(features[-1].device.type, enabled=False):
            return self.direction(self.pool(features[-1]))

    def loss(self, features: Features, inputs: Dict[str, Tensor],
             data_samples: List[DataSample]) -> Dict[str, Tensor]:
        """Compute the loss over the clips whose azimuth is known.

        Args:
            features (tuple[Tensor]): The backbone's maps.
            inputs (dict[str, Tensor]): Not used.
            data_samples (list[DataSample]): With ``azimuth`` in degrees, nan
                where it is unknown.

        Returns:
            dict[str, Tensor]: ``loss`` and ``error``, the mean angular error
            in degrees.
        """
        vectors = self(features)
        truth, known = _azimuths(data_samples, vectors)
        target = torch.stack([truth.sin(), truth.cos()], 1)
        count = known.sum().clamp(min=1)
        squares = (vectors - target).square().sum(1)
        angle = torch.atan2(vectors[:, 0], vectors[:, 1]).detach() - truth
        # Into (-pi, pi] and without its sign.
        error = torch.atan2(angle.sin(), angle.cos()).abs().rad2deg()
        return dict(
            loss=(squares * known).sum() / count,
            error=(error * known).sum() / count)

    def predict(self, features: Features, inputs: Dict[str, Tensor],
                data_samples: List[DataSample]) -> List[DataSample]:
        """Predict.

        Args:
            features (tuple[Tensor]): The backbone's maps.
            inputs (dict[str, Tensor]): Not used.
            data_samples (list[DataSample]): Where the predictions go.

        Returns:
            list[DataSample]: With ``pred_azimuth`` in [-180, 180] and
            ``pred_lateral``, the angle to the median plane, in [-90, 90]
            degrees.
        """
        sin, cos = self(features).unbind(1)
        angles = dict(
            pred_azimuth=torch.atan2(sin, cos),
            pred_lateral=sin.clamp(-1, 1).asin())
        for name, radians in angles.items():
            for sample, angle in zip(data_samples, radians.rad2deg().tolist()):
                sample.set_field(angle, name, field_type='metainfo')
        return data_samples


def _azimuths(data_samples: List[DataSample],
              like: Tensor) -> Tuple[Tensor, Tensor]:
    """The azimuths in radians, 0 where unknown, and 1 where known."""
    degrees = like.new_tensor([sample.azimuth for sample in data_samples])
    known = ~degrees.isnan()
    return degrees.nan_to_num(0).deg2rad(), known.to(like)
