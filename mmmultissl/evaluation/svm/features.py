# Copyright (c) mmmultissl contributors. All rights reserved.
"""From a backbone and images to one vector per image."""
import math
from typing import Callable, Iterable

import torch
from mmengine.dist import all_gather_object
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

POOLS = {
    'avg': 'mean over all positions',
    '2x2': 'average over windows one smaller than the map, stride 1: four '
           'vectors, one after another (mmselfsup\'s AvgPool kernel 6 on 7x7)',
}


def pool_features(feature: Tensor, pool: str) -> Tensor:
    """Turn a feature map into a vector per image.

    Args:
        feature (Tensor): Map, (N, C, H, W), or vectors, (N, C), which are
            only possible with ``'avg'`` and stay as they are.
        pool (str): ``'avg'``: the global mean, (N, C). ``'2x2'``: windows of
            (H - 1) x (W - 1), (N, 4 C), channel by channel.

    Returns:
        Tensor: Vectors, float32.

    Raises:
        ValueError: If the pool is unknown or does not fit the map.
    """
    if pool not in POOLS:
        raise ValueError(f'pool is one of {sorted(POOLS)}, not {pool!r}.')
    feature = feature.float()
    if pool == 'avg' and feature.dim() == 2:
        return feature
    if feature.dim() != 4:
        raise ValueError(
            f'The pool "{pool}" needs a map (N, C, H, W) from the backbone, '
            f'but got the shape {tuple(feature.shape)}.')
    if pool == 'avg':
        return feature.mean(dim=(2, 3))
    height, width = feature.shape[2:]
    if min(height, width) < 2:
        raise ValueError(
            f'The pool "2x2" needs a map of at least 2x2, but the backbone '
            f'gives {height}x{width}: use larger images or the pool "avg".')
    return F.avg_pool2d(
        feature, (height - 1, width - 1), stride=1).flatten(1)


@torch.no_grad()
def extract_features(model: BaseModel,
                     dataloader: Iterable,
                     pool: str = 'avg',
                     index: int = -1,
                     progress: Callable[[int], None] = lambda images: None
                     ) -> Tensor:
    """Compute the features of all images of a loader, in evaluation mode.

    Args:
        model (BaseModel): Has ``data_preprocessor`` and ``backbone``.
        dataloader (Iterable): mmengine's loader; its samples carry
            ``sample_idx``, so the order and repeats do not matter.
        pool (str): See :func:`pool_features`. Defaults to ``'avg'``.
        index (int): Which of the backbone's outputs to take. Defaults to -1,
            the last.
        progress (Callable): Told how many images were done since the last
            call. Defaults to nothing.

    Returns:
        Tensor: float32 on the CPU, (images of the dataset, D), in the
        dataset's order. All processes get all of them.

    Raises:
        ValueError: If a feature is not finite, or the pool does not fit.
        IndexError: If the backbone has no such output.
    """
    was_training = model.training
    model.eval()
    found, vectors = [], []
    for batch in dataloader:
        batch = model.data_preprocessor(batch, False)
        outputs = model.backbone(batch['inputs'])
        if isinstance(outputs, Tensor):
            outputs = (outputs, )
        if not -len(outputs) <= index < len(outputs):
            raise IndexError(
                f'The backbone has {len(outputs)} outputs, so there is no '
                f'output {index}: set its out_indices.')
        vector = pool_features(outputs[index], pool).cpu()
        samples = batch['data_samples']
        finite = torch.isfinite(vector).all(1)
        if not finite.all():
            bad = samples[int((~finite).nonzero()[0])]
            raise ValueError(
                'The backbone gives nan or inf, first for '
                f'"{bad.img_path}": look at its checkpoint and at the mean '
                'and std of the data preprocessor.')
        found += [sample.sample_idx for sample in samples]
        vectors.append(vector)
        progress(len(samples))
    model.train(was_training)

    # One element per process; without processes, a list of one.
    parts = all_gather_object((found, torch.cat(vectors)))
    features = torch.full((len(dataloader.dataset), parts[0][1].shape[1]),
                          math.nan)
    for rows, part in parts:
        features[rows] = part
    if features.isnan().any():
        raise RuntimeError(
            f'{int(features.isnan().any(1).sum())} images were not handed '
            'out by the loader: set drop_last=False and give every image to '
            'some process.')
    return features
