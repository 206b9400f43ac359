# Copyright (c) mmmultissl contributors. All rights reserved.
"""What sounds: one class for each clip."""
from typing import Dict, List

from mmengine.model import BaseModule
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS

from .binaural_downstream import Features
from .pooling import PooledMap


@MODELS.register_module()
class EventHead(BaseModule):
    """Classifies the sound event of a clip: a linear probe by default.

    The standardised mean of the last map (:class:`PooledMap`), then
    mmpretrain's head. Sound events are no downstream task of the paper; they
    show what the features know of *what* sounds.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the backbone's last map.
        classifier (dict, optional): Changes of mmpretrain's
            ``LinearClsHead``, such as another loss; it sees vectors.
            Defaults to None: a linear layer and cross-entropy.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 classifier: dict = None,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.pool = PooledMap(in_channels)
        self.classifier = MODELS.build(
            dict(
                dict(
                    type='mmpretrain.LinearClsHead',
                    num_classes=num_classes,
                    in_channels=in_channels,
                    loss=dict(type='mmpretrain.CrossEntropyLoss'),
                    cal_acc=True), **(classifier or {})))

    def loss(self, features: Features, inputs: Dict[str, Tensor],
             data_samples: List[DataSample]) -> Dict[str, Tensor]:
        """Compute the loss.

        Args:
            features (tuple[Tensor]): The backbone's maps.
            inputs (dict[str, Tensor]): Not used.
            data_samples (list[DataSample]): With ``gt_label``.

        Returns:
            dict[str, Tensor]: ``loss`` and ``accuracy``, from 0 to 1.

        Raises:
            ValueError: If a clip has no class, or one that the head has
                not.
        """
        _need_labels(data_samples)
        last = max(int(sample.gt_label) for sample in data_samples)
        if last >= self.num_classes:
            raise ValueError(
                f'The class number {last} was given, but EventHead has '
                f'{self.num_classes} classes, from 0: set '
                'model.head.num_classes to the number of classes of '
                'dataset.json.')
        losses = self.classifier.loss((self.pool(features[-1]), ),
                                      data_samples)
        percent = losses.pop('accuracy_top-1', None)
        if percent is not None:
            losses['accuracy'] = percent[0].squeeze(0) / 100
        return losses

    def predict(self, features: Features, inputs: Dict[str, Tensor],
                data_samples: List[DataSample]) -> List[DataSample]:
        """Predict.

        Args:
            features (tuple[Tensor]): The backbone's maps.
            inputs (dict[str, Tensor]): Not used.
            data_samples (list[DataSample]): Where the predictions go.

        Returns:
            list[DataSample]: With ``pred_score`` and ``pred_label``.
        """
        _need_labels(data_samples)
        return self.classifier.predict((self.pool(features[-1]), ),
                                       data_samples)


def _need_labels(data_samples: List[DataSample]) -> None:
    for sample in data_samples:
        if 'gt_label' not in sample:
            raise ValueError(
                f'The clip of {sample.recording} at sample {sample.start} '
                'has no class, which EventHead needs: fill the column class '
                "of the folder's index, or remove the row.")
