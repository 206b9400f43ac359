# Copyright (c) mmmultissl contributors. All rights reserved.
"""The backbone of a run, ready to look at images."""
from typing import Callable, List

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor
from torch.nn import functional as F

from mmmultissl.engine.backbone_weights import RANDOM, fill_backbone
from mmmultissl.evaluation.svm.features import extract_features
from mmmultissl.evaluation.voc07.command import evaluation_config
from mmmultissl.registry import MODELS

from .runs import Run


def load_encoder(run: Run, config: Config) -> BaseModel:
    """Build the backbone of a run, with its pixel statistics.

    Args:
        run (Run): The run; one without pretraining gets the random weights
            that ``tools/voc07.py`` draws by default.
        config (Config): A pretraining config, of this run or, for random
            weights, of another one.

    Returns:
        BaseModel: With ``backbone`` and ``data_preprocessor``, in evaluation
        mode, on the CPU.

    Raises:
        RuntimeError: If the checkpoint does not fill the backbone.
    """
    cfg = evaluation_config(config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    fill_backbone(model.backbone,
                  run.pretraining.checkpoint if run.pretraining else RANDOM)
    return model.eval()


def shown_features(model: BaseModel, config: Config, data_root: str, size: int,
                   progress: Callable[[int], None]) -> Tensor:
    """Compute the pooled features of VOC's test images.

    Args:
        model (BaseModel): From :func:`load_encoder`.
        config (Config): The config that it was built with.
        data_root (str): Folder of one year, such as ``VOCdevkit/VOC2007``.
        size (int): Sides of the images, in pixels.
        progress (Callable): Told how many images were done.

    Returns:
        Tensor: Unit vectors, (images, D), in the order of the lists.
    """
    loader = evaluation_config(config, size).test_dataloader
    loader.num_workers = 0
    loader.dataset.update(data_root=data_root, splits=('test', ))
    return F.normalize(
        extract_features(model, Runner.build_dataloader(loader), 'avg',
                         progress),
        dim=1)


@torch.no_grad()
def last_maps(model: BaseModel, images: List[np.ndarray]) -> Tensor:
    """Compute the trunk's last map of some images.

    Args:
        model (BaseModel): From :func:`load_encoder`.
        images (list[np.ndarray]): BGR, (H, W, 3), uint8, all of one size.

    Returns:
        Tensor: (N, C, H', W').
    """
    inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    batch = model.data_preprocessor(dict(inputs=inputs), False)
    return model.backbone(batch['inputs'])[-1]
