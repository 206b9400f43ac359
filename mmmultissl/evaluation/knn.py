# Copyright (c) mmmultissl contributors. All rights reserved.
"""Weighted nearest neighbours for several labels per image.

Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination" (CVPR 2018), as DINO uses it (Caron et al., ICCV 2021): the k
training images of the highest cosine similarity s vote with the weight
exp(s / T). VOC's images have several labels, so a vote becomes a score (our
choice): the share of the weight with which a class is voted for, by which the
test images are ranked.
"""
import time
from dataclasses import dataclass
from typing import Dict, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from .svm.full import interpolated_aps
from .svm.protocol import normalize

# Test images that are compared at once.
_CHUNK = 1024


@dataclass(frozen=True)
class KNNProtocol:
    """The choices of the nearest neighbours.

    Args:
        neighbours (tuple[int]): Numbers of neighbours; the first one's is the
            figure that is named mAP. Defaults to 20 and 200.
        temperature (float): Temperature of the weights. Defaults to 0.07.
        difficult_train (str): What a *difficult* image votes: ``'negative'``,
            that the class is absent, or ``'ignore'``, nothing. Defaults to
            ``'negative'``.
    """
    neighbours: Tuple[int, ...] = (20, 200)
    temperature: float = 0.07
    difficult_train: str = 'negative'

    def __post_init__(self) -> None:
        neighbours = tuple(int(k) for k in self.neighbours)
        object.__setattr__(self, 'neighbours', neighbours)
        if not neighbours or min(neighbours) < 1 or self.temperature <= 0:
            raise ValueError(
                'Nearest neighbours need a number of at least 1 and a '
                f'positive temperature, but got neighbours={list(neighbours)} '
                f'and temperature={self.temperature}.')
        if self.difficult_train not in ('negative', 'ignore'):
            raise ValueError('difficult_train is "negative" or "ignore", not '
                             f'{self.difficult_train!r}.')

    def describe(self) -> Dict[str, str]:
        """Say every choice in words, for the log and the json.

        Returns:
            dict[str, str]: What is chosen, and how.
        """
        return {
            'neighbours': ', '.join(map(str, self.neighbours)) +
                          ' (the first is the figure)',
            'weights': f'exp(cosine similarity / {self.temperature:g}), as '
                       'in Wu et al. and DINO',
            'score': 'share of the weight that votes for a class (our '
                     'choice, for several labels per image)',
            'difficult in training': {
                'negative': 'votes for absent',
                'ignore': 'does not vote'
            }[self.difficult_train],
        }


def knn_scores(train_features: Tensor,
               train_labels: np.ndarray,
               test_features: Tensor,
               protocol: KNNProtocol = KNNProtocol()
               ) -> Dict[int, Tensor]:
    """Score every class of the test images by their nearest neighbours.

    Args:
        train_features (Tensor): Features of the images that vote, (N, D).
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_features (Tensor): Features of the images to score, (M, D).
        protocol (KNNProtocol): Every choice. Defaults to 20 and 200
            neighbours.

    Returns:
        dict[int, Tensor]: Number of neighbours -> share of the weight that
        votes for each class, (M, classes), float64.

    Raises:
        ValueError: If there are fewer training images than neighbours.
    """
    most = max(protocol.neighbours)
    if most > len(train_features):
        raise ValueError(
            f'{most} nearest neighbours were asked for among '
            f'{len(train_features)} training images: set fewer (--neighbours '
            'or knn.neighbours).')
    labels = torch.from_numpy(train_labels).to(train_features.device)
    positive = (labels == 1).double()
    voting = torch.ones_like(positive)
    if protocol.difficult_train == 'ignore':
        voting = (labels != 0).double()

    train = normalize(train_features)
    scores = {k: [] for k in protocol.neighbours}
    for part in normalize(test_features).split(_CHUNK):
        similarity, rows = (part @ train.T).topk(most, dim=1)
        # The largest weight is 1: a common factor changes no share.
        weight = ((similarity - similarity[:, :1]) /
                  protocol.temperature).exp()[..., None]
        votes = (weight * positive[rows]).cumsum(1)
        total = (weight * voting[rows]).cumsum(1)
        for k in protocol.neighbours:
            # Without a voter the score is that of no vote.
            scores[k].append(votes[:, k - 1] /
                             total[:, k - 1].clamp(min=1e-300))
    return {k: torch.cat(parts) for k, parts in scores.items()}


def evaluate_knn(train_features: Tensor,
                 train_labels: np.ndarray,
                 test_features: Tensor,
                 test_labels: np.ndarray,
                 classes: Sequence[str],
                 protocol: KNNProtocol = KNNProtocol()) -> dict:
    """Score the test images by their nearest training images.

    Args:
        train_features (Tensor): Features of the trainval images, (N, D).
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_features (Tensor): Features of the test images, (M, D).
        test_labels (np.ndarray): The same labels, (M, classes).
        classes (Sequence[str]): Names of the classes.
        protocol (KNNProtocol): Every choice. Defaults to 20 and 200
            neighbours.

    Returns:
        dict: ``mAP`` (0 to 100) and ``classes`` (per class ``ap``) of the
        first number of neighbours, ``mAP_per_neighbours``, ``left_out`` and
        ``seconds``.

    Raises:
        ValueError: If there are fewer training images than neighbours, or no
            class has a positive test image.
    """
    start = time.perf_counter()
    present = (test_labels == 1).any(0)
    left_out = {
        name: 'no positive test image'
        for name, there in zip(classes, present) if not there
    }
    if not present.any():
        raise ValueError('No class has a positive test image: give lists with '
                         'more images.')
    scores = knn_scores(train_features, train_labels[:, present],
                        test_features, protocol)
    aps = {
        k: interpolated_aps(score.T.contiguous(), test_labels[:, present])
        for k, score in scores.items()
    }
    first = aps[protocol.neighbours[0]]
    names = [name for name in classes if name not in left_out]
    return dict(
        mAP=float(first.mean()),
        classes={name: dict(ap=float(ap)) for name, ap in zip(names, first)},
        mAP_per_neighbours={
            str(k): float(ap.mean()) for k, ap in aps.items()
        },
        left_out=left_out,
        seconds=time.perf_counter() - start)
