# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is where in the frame, by sound alone."""
import math
from typing import Dict, List, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from .binaural_downstream import Features
from .pooling import PooledMap

IGNORED = 255


@MODELS.register_module()
class SemanticHead(BaseModule):
    """Predicts the class of every pixel of the panorama.

    "Semantic prediction" of the paper. From the code of the authors' earlier
    work: the encoder's map is enlarged to the frame, as if frequency were
    height and time width; two 3x3 convolutions with batch norm and ReLU and a
    1x1 convolution follow; the result is enlarged again; cross-entropy with
    the class weights below. Such a head shifts its answer where its input is
    shifted, so it knows about directions only what the encoder's padding
    betrays. Our choice therefore, ``with_place``: each pixel also gets the
    standardised mean of the map and its own direction (sine and cosine of the
    azimuth, height), and the convolutions see a panorama as a ring.

    Reads the view ``labels``: 0 background, c + 1 class c, 255 ignored.

    Args:
        num_classes (int): Sounding classes, without the background.
        in_channels (int): Channels of the backbone's last map.
            Defaults to 256 (``OmniAudioNet``).
        channels (int): Of the 3x3 convolutions. Defaults to 256.
        stride (int): Pixels of the labels per cell in which the convolutions
            work. Defaults to 4.
        with_place (bool): As above; False is the authors' head.
            Defaults to True.
        class_weight (str | Sequence[float] | None): ``'batch'``: a class of
            the part f > 0 of the batch's pixels has the weight 2 - f, one
            that does not occur 1, as in the authors' code; or fixed weights,
            background first; or None, equal ones. Defaults to 'batch'.
        sounding_weight (float): Factor for all classes but the background.
            The authors' code has 7 for its three. Defaults to 7.
        norm_cfg (dict, optional): The norms. Defaults to dict(type='BN').
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If a setting cannot be used.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int = 256,
                 channels: int = 256,
                 stride: int = 4,
                 with_place: bool = True,
                 class_weight='batch',
                 sounding_weight: float = 7.,
                 norm_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg)
        fixed = isinstance(class_weight, Sequence) and not isinstance(
            class_weight, str)
        if fixed and len(class_weight) != num_classes + 1:
            raise ValueError(
                f'SemanticHead got {len(class_weight)} class weights for '
                f'{num_classes} classes and the background; give '
                f'{num_classes + 1}.')
        if not fixed and class_weight not in ('batch', None):
            raise ValueError(f'SemanticHead got class_weight={class_weight!r}'
                             "; give 'batch', numbers or None.")
        if num_classes < 1 or stride < 1 or sounding_weight <= 0:
            raise ValueError(
                f'SemanticHead got num_classes={num_classes}, stride={stride} '
                f'and sounding_weight={sounding_weight}; give positive ones.')
        self.num_classes, self.stride = num_classes, stride
        self.with_place = with_place
        self.class_weight = class_weight
        self.sounding_weight = sounding_weight
        width = in_channels + with_place * (in_channels + 3)
        norm_cfg = norm_cfg or dict(type='BN')
        self.pool = PooledMap(in_channels) if with_place else None
        # Columns are padded in `forward`.
        self.convs = nn.ModuleList(
            ConvModule(before, channels, 3, padding=(1, 0), norm_cfg=norm_cfg)
            for before in (width, channels))
        self.classify = nn.Conv2d(channels, num_classes + 1, 1)

    def forward(self, features: Features, size: Sequence[int]) -> Tensor:
        """Score the classes.

        Args:
            features (tuple[Tensor]): Maps of the clips; the last is read.
            size (Sequence[int]): Height and width of the labels.

        Returns:
            Tensor: Logits, ``(N, num_classes + 1, H, W)``.
        """
        cells = [max(1, length // self.stride) for length in size]
        x = _enlarged(features[-1], cells)
        if self.with_place:
            mean = self.pool(features[-1])[..., None, None]
            x = torch.cat([
                x,
                mean.expand(-1, -1, *cells),
                _places(*cells, x).expand(len(x), -1, -1, -1)
            ], 1)
        # Left and right border of a panorama are neighbours.
        mode = 'circular' if self.with_place else 'constant'
        for conv in self.convs:
            x = conv(F.pad(x, (1, 1, 0, 0), mode))
        return _enlarged(self.classify(x), size)

    def loss(self,
             features: Features,
             inputs: Dict[str, Tensor],
             data_samples: Optional[List[DataSample]] = None
             ) -> Dict[str, Tensor]:
        """Compute the weighted cross-entropy.

        Args:
            features (tuple[Tensor]): Maps of the clips.
            inputs (dict[str, Tensor]): With ``labels``, ``(N, H, W)`` uint8.
            data_samples (list[DataSample], optional): Not read.

        Returns:
            dict[str, Tensor]: ``loss``, the weighted mean over the pixels,
            and ``accuracy``, the share of right ones.
        """
        labels = self._labels(inputs).long()
        logits = self(features, labels.shape[1:]).float()
        judged = labels != IGNORED
        # Labels beyond the classes would be out of range on the device only.
        counts = torch.bincount(
            labels[judged], minlength=self.num_classes + 1)
        if len(counts) > self.num_classes + 1:
            raise ValueError(
                f'The labels go up to {len(counts) - 1}, but SemanticHead has '
                f'{self.num_classes} classes: set model.head.num_classes to '
                'the number of classes of dataset.json.')
        weights = self._weights(counts).to(logits)
        loss = F.cross_entropy(
            logits,
            labels,
            weight=weights,
            ignore_index=IGNORED,
            reduction='sum')
        right = (logits.detach().argmax(1) == labels) & judged
        return dict(
            loss=loss / (weights @ counts.to(weights)).clamp(min=1e-12),
            accuracy=right.sum() / judged.sum().clamp(min=1))

    def predict(self,
                features: Features,
                inputs: Dict[str, Tensor],
                data_samples: Optional[List[DataSample]] = None
                ) -> List[DataSample]:
        """Predict the most likely classes.

        Args:
            features (tuple[Tensor]): Maps of the clips.
            inputs (dict[str, Tensor]): With ``labels``.
            data_samples (list[DataSample], optional): Those of the batch.

        Returns:
            list[DataSample]: The same samples with ``pred_labels`` and
            ``gt_labels``, ``(H, W)`` uint8.
        """
        labels = self._labels(inputs)
        found = self(features, labels.shape[1:]).argmax(1).to(torch.uint8)
        samples = data_samples or [DataSample() for _ in labels]
        for sample, prediction, truth in zip(samples, found, labels):
            sample.set_field(prediction, 'pred_labels', dtype=Tensor)
            sample.set_field(truth, 'gt_labels', dtype=Tensor)
        return samples

    def _weights(self, counts: Tensor) -> Tensor:
        if self.class_weight == 'batch':
            share = counts / counts.sum().clamp(min=1)
            weights = (1 - share) * (counts > 0) + 1
        else:
            weights = counts.new_tensor(
                self.class_weight or [1.] * len(counts), dtype=torch.float)
        factor = torch.full_like(weights, self.sounding_weight)
        factor[0] = 1
        return weights * factor

    @staticmethod
    def _labels(inputs: Dict[str, Tensor]) -> Tensor:
        if 'labels' not in inputs:
            raise ValueError('SemanticHead reads the view "labels": add it '
                             'to the views of BinauralClips.')
        return inputs['labels']


def _enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    if x.shape[2:] == tuple(size):
        return x
    return F.interpolate(x, tuple(size), mode='bilinear', align_corners=False)


def _places(height: int, width: int, like: Tensor) -> Tensor:
    """Sine and cosine of each cell's azimuth and its height: (3, h, w)."""
    columns = (torch.arange(width).to(like) + 0.5) / width
    # Azimuth 0 is in the centre and grows to the left.
    azimuth = 2 * math.pi * (0.5 - columns)
    rows = 1 - 2 * (torch.arange(height).to(like) + 0.5) / height
    return torch.stack([
        azimuth.sin().expand(height, width),
        azimuth.cos().expand(height, width), rows[:, None].expand(
            height, width)
    ])
