# Copyright (c) mmmultissl contributors. All rights reserved.
"""A small labelled set that is encoded now and then, never trained on."""
import copy
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mmmultissl.evaluation.svm.features import pool_features
from mmmultissl.models.selfsup import MultiSSL
from mmmultissl.utils.seeding import permutation, preserved_rng


def drawn(rows: Sequence[int], most: int) -> List[int]:
    """Draw some of the rows, the same ones each time.

    Args:
        rows (Sequence[int]): The rows.
        most (int): How many.

    Returns:
        list[int]: All, or ``most`` of them, in their order.
    """
    chosen = permutation(0, 0, len(rows))[:most]
    return [rows[place] for place in sorted(chosen)]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part back as it was.

    Args:
        module (nn.Module): The module.

    Yields:
        None: While it is in evaluation mode.
    """
    training = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, was in training:
            part.training = was


class Probe:
    """Images, or sounds, and labels, read once and kept as they were read.

    Of 1,000 images of 224 pixels that is 150 MB of memory.

    Args:
        dataset (dict): Config of a dataset. Its samples have ``inputs`` and,
            in ``data_samples``, ``gt_label``: one class, or several.
            :class:`VOC07Images` has its labels in its lists.
        test_dataset (dict, optional): Where the images to judge are from.
            Defaults to None: the second split of ``VOC07Images``; of any
            other dataset a half, always the same one, is judged by the other.
        max_images (int): Most images that vote, and most that are judged.
        batch_size (int): Images at once.
        num_workers (int): Processes that read them at the start.
        view (str): What is encoded, where a sample has several views.

    Raises:
        ValueError: If an image has no label, or there are none.
    """

    def __init__(self, dataset: dict, test_dataset: Optional[dict],
                 max_images: int, batch_size: int, num_workers: int,
                 view: str) -> None:
        self.view = view
        with preserved_rng():
            bank = _build(dataset)
            other = None if test_dataset is None else _build(test_dataset)
            parts = _halves(bank, other)
            if not all(len(rows) for _, rows in parts):
                raise ValueError(
                    'knn of MonitorHook has no images to '
                    f'{"judge" if len(parts[0][1]) else "vote"}: give '
                    'test_dataset, or a dataset with more images or splits.')
            read = [
                _read(source, drawn(rows, max_images), batch_size,
                      num_workers) for source, rows in parts
            ]
        self.batches = [batches for batches, _ in read]
        self.single = all(one for _, (_, one) in read)
        found = [labels for _, (labels, _) in read]
        classes = max(part.shape[1] for part in found)
        self.labels = [
            np.pad(part, ((0, 0), (0, classes - part.shape[1])),
                   constant_values=-1) for part in found
        ]

    @torch.no_grad()
    def encode(self, model: MultiSSL) -> List[Tensor]:
        """Compute the features with the trunk in evaluation mode.

        Neither batch norm nor a generator of the training is changed, and
        nothing of what is compiled is compiled again.

        Args:
            model (MultiSSL): The model.

        Returns:
            list[Tensor]: Features of the images that vote and of those that
            are judged, ``(N, C)``, float32.
        """
        pixels = _preprocessor(model)
        with preserved_rng(), evaluating(model.backbone):
            return [
                torch.cat([self._features(model, pixels, b) for b in batches])
                for batches in self.batches
            ]

    def _features(self, model: MultiSSL, pixels: nn.Module,
                  batch: dict) -> Tensor:
        inputs = pixels(copy.copy(batch), False)['inputs']
        if isinstance(inputs, dict):
            inputs = inputs[self.view]
        outputs = model.backbone.forward(inputs)
        if isinstance(outputs, (tuple, list)):
            outputs = outputs[-1]
        return pool_features(outputs, 'avg')


def _build(cfg: dict):
    dataset = DATASETS.build(cfg) if isinstance(cfg, dict) else cfg
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    return dataset


def _halves(bank, other) -> List[Tuple]:
    lists = getattr(bank, 'lists', None)
    if other is not None:
        return [(bank, range(len(bank))), (other, range(len(other)))]
    if lists:
        first = len(lists[bank.splits[0]].ids)
        return [(bank, range(first)), (bank, range(first, len(bank)))]
    order = permutation(0, 1, len(bank)).tolist()
    half = (len(order) + 1) // 2
    return [(bank, sorted(order[:half])), (bank, sorted(order[half:]))]


def _read(dataset, rows: List[int], batch_size: int, num_workers: int):
    loader = DataLoader(
        Subset(dataset, rows),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=pseudo_collate)
    batches = list(loader)
    lists = getattr(dataset, 'lists', None)
    if lists:
        table = np.concatenate(
            [lists[split].labels for split in dataset.splits])
        return batches, (table[rows], False)
    samples = [s for batch in batches for s in batch['data_samples']]
    return batches, _table(samples)


def _table(samples: list) -> Tuple[np.ndarray, bool]:
    """Make 1 and -1 of class numbers; say whether each has just one."""
    found = []
    for number, sample in enumerate(samples):
        if 'gt_label' not in sample:
            raise ValueError(
                f'Sample {number} of the monitor\'s kNN data has no gt_label: '
                'give a dataset with labels and a pipeline that packs them '
                '(mmpretrain.PackInputs), or set knn=None.')
        found.append(torch.as_tensor(sample.gt_label).flatten().tolist())
    table = np.full(
        (len(found), 1 + max((max(row) for row in found if row), default=0)),
        -1,
        dtype=np.int8)
    for row, classes in zip(table, found):
        row[classes] = 1
    return table, all(len(classes) == 1 for classes in found)


def _preprocessor(model: MultiSSL) -> nn.Module:
    """What makes inputs of one view, with the statistics of the training."""
    own = model.data_preprocessor
    device = next(model.parameters()).device
    if hasattr(own, '_channel_conversion'):
        statistics = dict(
            mean=own.mean.flatten().tolist(),
            std=own.std.flatten().tolist()) if hasattr(own, 'mean') else {}
        own = MODELS.build(
            dict(
                type='mmpretrain.ClsDataPreprocessor',
                to_rgb=bool(own._channel_conversion),
                **statistics))
        return own.to(device)
    # Some count what they see.
    return copy.deepcopy(own)
