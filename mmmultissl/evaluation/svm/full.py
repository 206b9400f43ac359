# Copyright (c) mmmultissl contributors. All rights reserved.
"""Classifiers trained on all images, with costs from cross-validation."""
import time
from dataclasses import dataclass
from typing import Callable, Dict, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from .average_precision import average_precisions
from .liblinear import Liblinear
from .protocol import (LOSSES, SVMProtocol, prepare, stratified_folds,
                       usable_classes)
from .solver import BatchedLinear


@dataclass
class _Problems:
    """The training problems of all usable classes.

    Args:
        features (Tensor): Normalised, with a column of ones, (N, D + 1).
        positive (Tensor): Whether a class is present, bool, (classes, N).
        weight (Tensor): Class weight, 0 for images left out, (classes, N).
        held_out (Tensor): Fold of each image, -1 for those left out,
            (classes, N).
    """
    features: Tensor
    positive: Tensor
    weight: Tensor
    held_out: Tensor

    @property
    def sign(self) -> Tensor:
        """Tensor: +1 or -1, (classes, N)."""
        return 2 * self.positive.double() - 1


def _pose(features: Tensor, labels: np.ndarray,
          protocol: SVMProtocol) -> _Problems:
    labels = labels.T
    positive = labels == 1
    weight = np.where(positive, protocol.positive_weight,
                      protocol.negative_weight)
    held_out = np.full(labels.shape, -1)
    for c, row in enumerate(labels):
        used = np.full(len(row), True)
        if protocol.difficult_train == 'ignore':
            used = row != 0
        weight[c, ~used] = 0
        held_out[c, used] = stratified_folds(positive[c, used],
                                             protocol.folds)
    return _Problems(
        features,
        *(torch.from_numpy(x).to(features.device)
          for x in (positive, weight, held_out)))


def _batched(problems: _Problems, protocol: SVMProtocol,
             solver: Optional[BatchedLinear], progress: Callable):
    """Cross-validate and train all classes with :class:`BatchedLinear`."""
    features, folds = problems.features, protocol.folds
    loss = LOSSES[protocol.loss]
    if solver is None:
        solver = BatchedLinear(features, protocol.tol, loss)
    solver = solver.with_loss(loss, protocol.tol)
    num_classes, num = problems.positive.shape
    index = torch.arange(folds, device=features.device)[:, None]
    held_out = problems.held_out[:, None]
    weight = (problems.weight[:, None] * (held_out != index)).reshape(-1, num)
    asked = (held_out == index).reshape(-1, num)
    sign, positive = (
        x.repeat_interleave(folds, 0)
        for x in (problems.sign, problems.positive))

    cv_ap = np.zeros((num_classes, len(protocol.costs)))
    starts = [None] * len(protocol.costs)
    solution = None
    # From the smallest cost up: each solution is where the next one starts.
    for k in np.argsort(protocol.costs):
        cost = protocol.costs[k]
        solution, scores = solver.solve(sign, cost * weight, solution)
        ap = average_precisions(positive, scores, asked, interpolated=False)
        cv_ap[:, k] = ap.view(num_classes, folds).mean(1).cpu()
        starts[k] = solution.view(num_classes, folds, -1).mean(1)
        progress(_effort(cost, num_classes * folds))

    best = cv_ap.argmax(1)
    start = torch.stack([starts[k][c] for c, k in enumerate(best)])
    chosen = torch.tensor([protocol.costs[k] for k in best]).to(features)
    weight = chosen[:, None] * problems.weight
    solution, _ = solver.solve(problems.sign, weight, start)
    progress(_effort(1., num_classes))
    return cv_ap, solver.weights(solution, problems.sign, weight), 0


def _sklearn(problems: _Problems, protocol: SVMProtocol,
             solver: Optional[BatchedLinear], progress: Callable):
    """The same with one fit of scikit-learn's after another."""
    fit = Liblinear(protocol)
    features = problems.features.cpu().numpy()
    signs = problems.sign.cpu().numpy()
    folds = problems.held_out.cpu().numpy()
    cv_ap = np.zeros((len(signs), len(protocol.costs)))
    weights = np.zeros((len(signs), features.shape[1]))
    for c, (sign, held_out) in enumerate(zip(signs, folds)):
        used = held_out >= 0
        for k, cost in enumerate(protocol.costs):
            scores = np.zeros((protocol.folds, len(sign)))
            for fold in range(protocol.folds):
                rows = used & (held_out != fold)
                scores[fold] = features @ fit(features[rows, :-1], sign[rows],
                                              cost)
            asked = held_out == np.arange(protocol.folds)[:, None]
            cv_ap[c, k] = average_precisions(
                torch.from_numpy(np.tile(sign > 0, (protocol.folds, 1))),
                torch.from_numpy(scores),
                torch.from_numpy(asked),
                interpolated=False).mean()
            progress(_effort(cost, protocol.folds))
        weights[c] = fit(features[used, :-1], sign[used],
                         protocol.costs[cv_ap[c].argmax()])
        progress(_effort(1., 1))
    weights = torch.from_numpy(weights).to(problems.features)
    return cv_ap, weights, fit.unconverged


_CROSS_VALIDATE = {'batched': _batched, 'sklearn': _sklearn}


def _effort(cost: float, problems: int) -> float:
    """Roughly how long problems take, in units of one of a small cost.

    Either solver's time grows about as the root of the cost's condition
    number; used for the time left only.
    """
    return problems * (1 + 2.5 * cost**0.5)


def total_effort(protocol: SVMProtocol, num_classes: int) -> float:
    """The sum of what ``progress`` of :func:`evaluate_svm` is told.

    Args:
        protocol (SVMProtocol): The protocol.
        num_classes (int): Number of classes that are usable.

    Returns:
        float: Effort, without a unit.
    """
    training = sum(
        _effort(cost, num_classes * protocol.folds) for cost in protocol.costs)
    return training + _effort(1., num_classes)


def evaluate_svm(train_features: Tensor,
                 train_labels: np.ndarray,
                 test_features: Tensor,
                 test_labels: np.ndarray,
                 classes: Sequence[str],
                 protocol: SVMProtocol = SVMProtocol(),
                 progress: Callable[[float], None] = lambda done: None,
                 solver: Optional[BatchedLinear] = None) -> dict:
    """Train and test one classifier per class.

    Args:
        train_features (Tensor): Features of the trainval images, sorted by
            name, (N, D). Where they are (CPU or GPU) is where it runs.
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_features (Tensor): Features of the test images, (M, D).
        test_labels (np.ndarray): The same labels, (M, classes).
        classes (Sequence[str]): Names of the classes.
        protocol (SVMProtocol): Every choice. Defaults to mmselfsup's.
        progress (Callable): Told the effort done since the last call, as
            counted by :func:`total_effort`. Defaults to nothing.
        solver (BatchedLinear, optional): One made of the prepared training
            features, to share its eigenbasis. Defaults to None.

    Returns:
        dict: ``mAP`` (0 to 100, over the evaluated classes), ``classes``
        (per class ``ap``, ``cv_ap``, ``cost``, ``cv_ap_per_cost``, counts),
        ``left_out`` (class to reason), ``unconverged_fits`` (of
        scikit-learn), ``seconds``.

    Raises:
        ValueError: If no class can be evaluated or a feature is not finite.
    """
    start = time.perf_counter()
    usable, left_out = usable_classes(train_labels, test_labels, classes,
                                      protocol)
    train, test = prepare(train_features), prepare(test_features)
    problems = _pose(train, train_labels[:, usable], protocol)
    cv_ap, weights, unconverged = _CROSS_VALIDATE[protocol.solver](
        problems, protocol, solver, progress)
    best = cv_ap.argmax(1)
    aps = interpolated_aps(weights @ test.T, test_labels[:, usable])

    per_class = {}
    for row, c in enumerate(usable):
        per_class[classes[c]] = dict(
            ap=float(aps[row]),
            cv_ap=100 * float(cv_ap[row, best[row]]),
            cost=protocol.costs[best[row]],
            cv_ap_per_cost=[100 * float(x) for x in cv_ap[row]],
            train_counts=label_counts(train_labels[:, c]),
            test_counts=label_counts(test_labels[:, c]))
    return dict(
        mAP=float(np.mean([r['ap'] for r in per_class.values()])),
        classes=per_class,
        left_out=left_out,
        unconverged_fits=unconverged,
        seconds=time.perf_counter() - start)


def interpolated_aps(scores: Tensor, labels: np.ndarray) -> np.ndarray:
    """Compute test APs: interpolated, without the *difficult* images.

    Args:
        scores (Tensor): Decision values, (problems, M).
        labels (np.ndarray): 1, -1 or 0 (difficult), (M, problems).

    Returns:
        np.ndarray: From 0 to 100, (problems, ).
    """
    labels = torch.from_numpy(np.ascontiguousarray(labels.T)).to(scores.device)
    return 100 * average_precisions(labels == 1, scores,
                                    labels != 0).cpu().numpy()


def label_counts(labels: np.ndarray) -> Dict[str, int]:
    """Count the images of one class.

    Args:
        labels (np.ndarray): 1, -1 or 0 (difficult), (N, ).

    Returns:
        dict[str, int]: ``present``, ``absent``, ``difficult``.
    """
    return dict(
        present=int((labels == 1).sum()),
        absent=int((labels == -1).sum()),
        difficult=int((labels == 0).sum()))
