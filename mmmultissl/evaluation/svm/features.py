# Copyright (c) mmmultissl contributors. All rights reserved.
"""From a backbone and images to one vector per image and stage."""
import math
from contextlib import contextmanager
from typing import (Callable, Dict, Iterable, Iterator, List, Optional,
                    Sequence, Tuple, Union)

import torch
from mmengine.dist import all_gather_object
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = {
    'avg': 'mean over all positions',
    '2x2': 'average over windows one smaller than the map, stride 1: four '
           'vectors, one after another (mmselfsup\'s AvgPool kernel 6 on 7x7)',
    'grid': 'average over overlapping windows, 6x6, 4x4, 3x3 and 2x2 of them '
            'in the four stages of a ResNet (at 224 pixels mmselfsup\'s and '
            'VISSL\'s kernels 16, 13, 8, 6 and strides 8, 5, 3, 1)',
}
# Windows per side, and the kernel as a part of the map's side.
_GRIDS = ((6, 16 / 56), (4, 13 / 28), (3, 8 / 14), (2, 6 / 7))

Stages = Optional[Union[str, Sequence[int]]]


def pool_features(feature: Tensor,
                  pool: str,
                  stage: Optional[int] = None) -> Tensor:
    """Turn a feature map into a vector per image.

    Args:
        feature (Tensor): Map, (N, C, H, W), or vectors, (N, C), which are
            only possible with ``'avg'`` and stay as they are.
        pool (str): ``'avg'``: the global mean, (N, C). ``'2x2'``: windows of
            (H - 1) x (W - 1), (N, 4 C), channel by channel. ``'grid'``: the
            windows of a ResNet's stage, about 9,000 numbers; windows for
            other sizes than 224 pixels keep the parts of the map (our
            choice).
        stage (int, optional): The stage, from 0 to 3, for ``'grid'``.
            Defaults to None, not known.

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
    if pool == 'grid' and stage not in range(len(_GRIDS)):
        raise ValueError(
            'The pool "grid" is for the stages 0 to 3 of a ResNet, not for '
            f'the output {stage}: use the pool "avg".')
    count, part = _GRIDS[stage] if pool == 'grid' else (2, 1.)
    height, width = feature.shape[2:]
    if min(height, width) < count:
        raise ValueError(
            f'The pool "{pool}" needs a map of at least {count}x{count}, '
            f'but the backbone gives {height}x{width}: use larger images or '
            'the pool "avg".')
    kernel = [min(round(part * x), x - count + 1) for x in (height, width)]
    stride = [(x - k) // (count - 1) for x, k in zip((height, width), kernel)]
    pooled = F.avg_pool2d(feature, kernel, stride)
    return pooled[..., :count, :count].flatten(1)


class FrozenEncoder(BaseModel):
    """A backbone with what normalises its images, for feature extraction.

    Args:
        backbone (nn.Module): The backbone.
        data_preprocessor (dict | nn.Module): Normalises the images.
    """

    def __init__(self, backbone: nn.Module,
                 data_preprocessor: Union[dict, nn.Module]) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = backbone

    def forward(self, inputs: Tensor, *args, **kwargs):
        """Run the backbone.

        Args:
            inputs (Tensor): Normalised images, (N, 3, H, W).

        Returns:
            tuple[Tensor]: Its outputs.
        """
        return self.backbone(inputs)


def stages_of(backbone: nn.Module, stages: Stages) -> Optional[List[int]]:
    """Say which stages of a backbone are meant.

    Args:
        backbone (nn.Module): The backbone.
        stages (Sequence[int] | str, optional): Stages as ``out_indices``
            counts them, or ``'all'``, or None.

    Returns:
        list[int] | None: The stages; None for the last output only.

    Raises:
        ValueError: If the backbone has no such stage.
    """
    if stages is None:
        return None
    name = type(backbone).__name__
    count = getattr(backbone, 'num_stages', None)
    if not hasattr(backbone, 'out_indices') or (stages == 'all'
                                                and count is None):
        raise ValueError(f'{name} does not say which stages it has: leave out '
                         'the stages, to take its last output.')
    wanted = list(range(count)) if stages == 'all' else sorted(set(stages))
    if not wanted or (count is not None and not set(wanted) <= set(
            range(count))):
        raise ValueError(f'{name} has the stages 0 to {(count or 0) - 1}, but '
                         f'the stages {wanted} were asked for.')
    return wanted


@contextmanager
def _outputs(backbone: nn.Module,
             stages: Optional[List[int]]) -> Iterator[None]:
    """Let a backbone return other stages, and restore it."""
    before = getattr(backbone, 'out_indices', None)
    if stages is not None:
        backbone.out_indices = tuple(stages)
    try:
        yield
    finally:
        if stages is not None:
            backbone.out_indices = before


def _last_stage(backbone: nn.Module) -> Optional[int]:
    indices = getattr(backbone, 'out_indices', None)
    if isinstance(indices, (tuple, list)) and indices and min(indices) >= 0:
        return indices[-1]
    return None


@torch.no_grad()
def extract_stages(model: BaseModel,
                   dataloader: Iterable,
                   pool: str = 'avg',
                   stages: Stages = None,
                   progress: Callable[[int], None] = lambda images: None
                   ) -> Dict[str, Tensor]:
    """Compute features of several stages in one pass, in evaluation mode.

    Args:
        model (BaseModel): Has ``data_preprocessor`` and ``backbone``.
        dataloader (Iterable): mmengine's loader; its samples carry
            ``sample_idx``, so the order and repeats do not matter.
        pool (str): See :func:`pool_features`. Defaults to ``'avg'``.
        stages (Sequence[int] | str, optional): Stages as ``out_indices``
            counts them, or ``'all'``. Defaults to None, the last output.
        progress (Callable): Told how many images were done since the last
            call. Defaults to nothing.

    Returns:
        dict[str, Tensor]: By name (``'stage3'``, or ``'last'`` for a backbone
        that does not number its outputs), float32 on the CPU, (images of the
        dataset, D), in the dataset's order. All processes get all of them.

    Raises:
        ValueError: If a feature is not finite, or pool or stage do not fit.
    """
    backbone = model.backbone
    wanted = stages_of(backbone, stages)
    numbers = [_last_stage(backbone)] if wanted is None else wanted
    names = ['last' if n is None else f'stage{n}' for n in numbers]
    was_training = model.training
    model.eval()
    found: List[int] = []
    vectors: List[Tuple[Tensor, ...]] = []
    with _outputs(backbone, wanted):
        for batch in dataloader:
            batch = model.data_preprocessor(batch, False)
            outputs = backbone(batch['inputs'])
            if isinstance(outputs, Tensor):
                outputs = (outputs, )
            samples = batch['data_samples']
            vectors.append(
                tuple(
                    _finite(pool_features(output, pool, number), samples)
                    for output, number in zip(outputs[-len(names):], numbers)))
            found += [sample.sample_idx for sample in samples]
            progress(len(samples))
    model.train(was_training)

    features = {}
    for name, column in zip(names, zip(*vectors)):
        # One element per process; without processes, a list of one.
        parts = all_gather_object((found, torch.cat(column)))
        features[name] = _in_order(parts, len(dataloader.dataset))
    return features


def _finite(vector: Tensor, samples: list) -> Tensor:
    finite = torch.isfinite(vector).all(1)
    if not finite.all():
        bad = samples[int((~finite).nonzero()[0])]
        raise ValueError(
            'The backbone gives nan or inf, first for '
            f'"{bad.img_path}": look at its checkpoint and at the mean '
            'and std of the data preprocessor.')
    return vector.cpu()


def _in_order(parts: list, num: int) -> Tensor:
    features = torch.full((num, parts[0][1].shape[1]), math.nan)
    for rows, part in parts:
        features[rows] = part
    if features.isnan().any():
        raise RuntimeError(
            f'{int(features.isnan().any(1).sum())} images were not handed '
            'out by the loader: set drop_last=False and give every image to '
            'some process.')
    return features


def extract_features(model: BaseModel,
                     dataloader: Iterable,
                     pool: str = 'avg',
                     progress: Callable[[int], None] = lambda images: None
                     ) -> Tensor:
    """Compute the features of the last output only.

    Args:
        model (BaseModel): As in :func:`extract_stages`.
        dataloader (Iterable): As in :func:`extract_stages`.
        pool (str): See :func:`pool_features`. Defaults to ``'avg'``.
        progress (Callable): As in :func:`extract_stages`.

    Returns:
        Tensor: float32 on the CPU, (images of the dataset, D).
    """
    features, = extract_stages(
        model, dataloader, pool, progress=progress).values()
    return features
