# Copyright (c) mmmultissl contributors. All rights reserved.
"""Linear SVMs over the folds of a data set, judged by recordings.

For each fold in turn: the features are standardised by the clips of the other
folds, one linear SVM per class is trained on these, a recording's score is
the mean of its clips' decision values, its class the largest one. The cost is
chosen on the training folds alone, each held out once. That recordings are
judged, over given folds, is the protocol of ESC-10 and ESC-50 (K. J. Piczak,
2015); the rest is our choice.
"""
from dataclasses import dataclass
from typing import Callable, Dict, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from ..svm.solver import BatchedLinear

COSTS = (0.01, 0.1, 1., 10., 100., 1000., 10000.)


@dataclass(frozen=True)
class FoldClips:
    """What is known of the clips of a data set.

    Args:
        labels (np.ndarray): Class numbers, int64, (N, ).
        recordings (np.ndarray): Recording that each is of, (N, ).
        folds (np.ndarray): Fold of each, (N, ).

    Raises:
        ValueError: If a recording is in two folds or of two classes, or there
            are fewer than two folds.
    """
    labels: np.ndarray
    recordings: np.ndarray
    folds: np.ndarray

    def __post_init__(self) -> None:
        if len(self.fold_numbers) < 2:
            raise ValueError('The SVM needs at least two folds, but got '
                             f'{len(self.fold_numbers)}.')
        known: Dict[str, Tuple[int, int]] = {}
        for name, label, fold in zip(self.recordings, self.labels,
                                     self.folds):
            if known.setdefault(name, (label, fold)) != (label, fold):
                raise ValueError(
                    f'The recording {name} is in two folds or of two '
                    'classes; correct the index.')

    @property
    def fold_numbers(self) -> np.ndarray:
        """np.ndarray: The folds, ascending."""
        return np.unique(self.folds)


def standardise(features: Tensor, training: Tensor) -> Tensor:
    """Standardise features by some of the samples, and add ones.

    Each feature gets mean 0 and deviation 1 over the training samples, then
    all are divided by the root of their number, so that a training sample's
    squared norm is 1 on average and a cost means the same for any width. A
    feature that is constant over them becomes 0.

    Args:
        features (Tensor): (N, D).
        training (Tensor): Which samples count, bool, (N, ).

    Returns:
        Tensor: float64, (N, D + 1).
    """
    features = features.double()
    seen = features[training]
    centre, scale = seen.mean(0), seen.std(0, correction=0)
    # Of a constant, what is left by rounding is no deviation.
    constant = scale <= 1e-12 * seen.abs().amax(0)
    scaled = (features - centre) / scale.masked_fill(constant, 1)
    scaled[:, constant] = 0
    scaled /= features.shape[1]**0.5
    return torch.cat([scaled, scaled.new_ones(len(scaled), 1)], 1)


def vote(scores: Tensor, clips: FoldClips,
         rows: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Let the clips of each recording decide on its class together.

    Args:
        scores (Tensor): Decision values, (classes, N).
        clips (FoldClips): All clips.
        rows (np.ndarray): Which of them vote, bool, (N, ).

    Returns:
        tuple[np.ndarray, np.ndarray]: Predicted and true class number of each
        recording, in the order of their names.
    """
    _, first, member = np.unique(
        clips.recordings[rows], return_index=True, return_inverse=True)
    sums = np.zeros((len(first), len(scores)))
    np.add.at(sums, member, scores.T.cpu().numpy()[rows])
    means = sums / np.bincount(member)[:, None]
    return means.argmax(1), clips.labels[rows][first]


def evaluate_folds(
        features: Tensor,
        clips: FoldClips,
        classes: Sequence[str],
        costs: Sequence[float] = COSTS,
        tol: float = 1e-6,
        progress: Callable[[float], None] = lambda done: None) -> dict:
    """Train and test a linear SVM per fold.

    Args:
        features (Tensor): One vector per clip, (N, D).
        clips (FoldClips): Their labels, recordings and folds.
        classes (Sequence[str]): Names.
        costs (Sequence[float]): Costs to choose from, the first among equals;
            with a single one there is no choice. Defaults to powers of 10
            from 0.01 to 10000.
        tol (float): Of the solver. Defaults to 1e-6.
        progress (Callable): Told about 1 for each fold and cost.
            Defaults to nothing.

    Returns:
        dict: ``accuracy``, the mean over folds in per cent; ``std``, their
        standard deviation (of a sample); ``folds``, of each fold its number,
        accuracy, chosen cost and how many recordings; ``confusion``, rows of
        true and columns of predicted classes, recordings of all folds.

    Raises:
        ValueError: If costs are to be chosen with only two folds, one is not
            positive and finite, or a feature is not finite.
    """
    if not costs or not all(0 < cost < float('inf') for cost in costs):
        raise ValueError(f'The SVM got the costs {tuple(costs)}; give '
                         'positive, finite ones.')
    if len(costs) > 1 and len(clips.fold_numbers) < 3:
        raise ValueError('Choosing a cost needs three folds or more; give '
                         'one cost.')
    found, confusion = [], np.zeros((len(classes), len(classes)), int)
    sign = _signs(clips.labels, len(classes))
    for fold in clips.fold_numbers:
        training = clips.folds != fold
        solver = BatchedLinear(
            standardise(features, torch.from_numpy(training)), tol)
        cost = _choose_cost(solver, sign, clips, training, costs, progress)
        weight = torch.from_numpy(training).to(sign) * cost
        _, scores = solver.solve(sign, weight.expand_as(sign))
        progress(1)
        predicted, truth = vote(scores, clips, ~training)
        np.add.at(confusion, (truth, predicted), 1)
        found.append(
            dict(
                fold=int(fold),
                accuracy=float(100 * (predicted == truth).mean()),
                cost=float(cost),
                recordings=len(truth)))
    figures = [each['accuracy'] for each in found]
    return dict(
        accuracy=float(np.mean(figures)),
        std=float(np.std(figures, ddof=1)),
        folds=found,
        confusion=confusion.tolist())


def _choose_cost(solver: BatchedLinear, sign: Tensor, clips: FoldClips,
                 training: np.ndarray, costs: Sequence[float],
                 progress: Callable) -> float:
    """Cross-validate over the training folds; all problems at once."""
    if len(costs) == 1:
        return costs[0]
    inner = np.unique(clips.folds[training])
    used = np.stack([training & (clips.folds != fold) for fold in inner])
    # Of each inner fold all classes.
    weight = torch.from_numpy(used).to(sign).repeat_interleave(len(sign), 0)
    signs = sign.repeat(len(inner), 1)
    accuracy, solution = {}, None
    for cost in sorted(costs):
        solution, scores = solver.solve(signs, cost * weight, solution)
        right = []
        for fold, its in zip(inner, scores.split(len(sign))):
            predicted, truth = vote(its, clips, clips.folds == fold)
            right.append((predicted == truth).mean())
        # Equal ones stay equal in whatever order they are added up.
        accuracy[cost] = round(float(np.mean(right)), 12)
        progress(1)
    return max(costs, key=accuracy.get)


def _signs(labels: np.ndarray, num_classes: int) -> Tensor:
    """+1 for the clips of a class, -1 for the others, (classes, N)."""
    classes = torch.arange(num_classes)[:, None]
    return 2 * (classes == torch.from_numpy(labels)).double() - 1
