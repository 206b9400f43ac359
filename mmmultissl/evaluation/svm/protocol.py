# Copyright (c) mmmultissl contributors. All rights reserved.
"""The VOC07 SVM protocol of mmselfsup: from features and labels to mAP.

It is the protocol of Goyal et al., "Scaling and Benchmarking Self-Supervised
Visual Representation Learning" (ICCV 2019), in the form of mmselfsup's
scripts: see ``docs/voc07_svm.md`` for every choice.
"""
import time
import warnings
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from .average_precision import average_precision
from .solver import BatchedLinearSVC

MMSELFSUP_COSTS = (1., 10., 100.) + tuple(0.5**k for k in range(4, 20))
_NORM_EPS = 1e-5


@dataclass(frozen=True)
class SVMProtocol:
    """The choices of the protocol; the defaults are mmselfsup's.

    Args:
        costs (tuple[float]): Costs to choose from, in order of preference
            among equals. Defaults to 1, 10, 100 and 0.5^4 to 0.5^19.
        folds (int): Folds of the cross-validation. Defaults to 3.
        positive_weight (float): Class weight of the positives. Defaults to 2.
        negative_weight (float): Class weight of the others. Defaults to 1.
        difficult_train (str): What a *difficult* image is in training and
            cross-validation: ``'negative'`` as in mmselfsup and VISSL, or
            ``'ignore'``. In the test it is always ignored. Defaults to
            ``'negative'``.
        solver (str): ``'batched'``, our exact solver, or ``'sklearn'``, one
            ``LinearSVC`` after another as mmselfsup does. Defaults to
            ``'batched'``.
        tol (float, optional): Tolerance of the solver. Defaults to None: 1e-6
            on the relative gradient norm for ``'batched'``, and 1e-4,
            liblinear's own measure, for ``'sklearn'``.
        max_iter (int): Most iterations of scikit-learn's solver. Defaults to
            2000.
    """
    costs: Tuple[float, ...] = MMSELFSUP_COSTS
    folds: int = 3
    positive_weight: float = 2.
    negative_weight: float = 1.
    difficult_train: str = 'negative'
    solver: str = 'batched'
    tol: Optional[float] = None
    max_iter: int = 2000

    def __post_init__(self) -> None:
        object.__setattr__(self, 'costs', tuple(float(c) for c in self.costs))
        if not self.costs or min(self.costs) <= 0:
            raise ValueError('The SVM needs costs, all of them positive, but '
                             f'got {list(self.costs)}.')
        if self.folds < 2:
            raise ValueError('Cross-validation needs at least 2 folds, but '
                             f'got {self.folds}.')
        if self.difficult_train not in ('negative', 'ignore'):
            raise ValueError(
                'difficult_train is "negative" or "ignore", not '
                f'{self.difficult_train!r}.')
        if self.solver not in _CROSS_VALIDATE:
            raise ValueError(f'solver is one of {sorted(_CROSS_VALIDATE)}, '
                             f'not {self.solver!r}.')
        if self.tol is None:
            object.__setattr__(self, 'tol',
                               1e-6 if self.solver == 'batched' else 1e-4)

    def describe(self) -> Dict[str, str]:
        """Say every choice in words, for the log and the json.

        Returns:
            dict[str, str]: What is chosen, and how.
        """
        costs = ', '.join(f'{c:.3g}' for c in self.costs)
        solver = {
            'batched':
            'batched Newton, float64, all classes and folds at once; '
            f'gradient norm <= {self.tol:g} of the weights\' norm',
            'sklearn':
            f'sklearn.svm.LinearSVC(dual=True, tol={self.tol:g}, '
            f'max_iter={self.max_iter}, random_state=0), one by one',
        }[self.solver]
        difficult = {
            'negative': 'counted as absent, as mmselfsup and VISSL do',
            'ignore': 'left out (mmselfsup and VISSL count it as absent)',
        }[self.difficult_train]
        return {
            'features': 'each image\'s vector divided by (its L2 norm + '
                        f'{_NORM_EPS:g}), float64',
            'classifier': 'one linear SVM per class: squared hinge, L2, '
                          'intercept regularised as one more weight',
            'class weights': f'present {self.positive_weight:g}, absent '
                             f'{self.negative_weight:g}',
            'costs': costs,
            'choice of cost': f'per class, best mean AP of {self.folds} '
                              'folds; among equals the first in the list; '
                              'then trained on all of trainval',
            'folds': 'stratified, not shuffled, images sorted by name (equal '
                     'to scikit-learn\'s StratifiedKFold)',
            'AP in folds': 'area under the step curve, not interpolated '
                           '(scikit-learn\'s average_precision)',
            'AP in the test': 'area under the interpolated curve, all recall '
                              'points; tied scores enter together',
            'difficult in training': difficult,
            'difficult in the test': 'left out of its class, as mmselfsup '
                                     'and VISSL do',
            'solver': solver,
        }


def normalize(features: Tensor) -> Tensor:
    """Divide every row by its L2 norm.

    Args:
        features (Tensor): (N, D).

    Returns:
        Tensor: float64, (N, D).
    """
    features = features.double()
    return features / (features.norm(dim=1, keepdim=True) + _NORM_EPS)


def stratified_folds(sign: np.ndarray, folds: int) -> np.ndarray:
    """Deal samples to folds: each label's samples in runs, in their order.

    Imagine the samples sorted by label and dealt round robin: that gives how
    many of each label a fold gets. Which ones follows the samples' order.
    This is what scikit-learn's ``StratifiedKFold(folds)`` does.

    Args:
        sign (np.ndarray): Labels, (N, ).
        folds (int): Number of folds.

    Returns:
        np.ndarray: The fold in which each sample is held out, (N, ).
    """
    held_out = np.empty(len(sign), dtype=np.int64)
    values, first = np.unique(sign, return_index=True)
    dealt = 0
    for value in values[np.argsort(first)]:
        rows = np.flatnonzero(sign == value)
        counts = np.bincount(
            np.arange(dealt, dealt + len(rows)) % folds, minlength=folds)
        held_out[rows] = np.repeat(np.arange(folds), counts)
        dealt += len(rows)
    return held_out


def _unusable(train: np.ndarray, test: np.ndarray,
              protocol: SVMProtocol) -> Optional[str]:
    """Say why a class cannot be evaluated, or None."""
    positives = int((train == 1).sum())
    negatives = int((train == -1).sum())
    if protocol.difficult_train == 'negative':
        negatives += int((train == 0).sum())
    for name, count in (('positive', positives), ('negative', negatives)):
        if count < protocol.folds:
            return (f'only {count} {name} training images for '
                    f'{protocol.folds} folds')
    if not (test == 1).any():
        return 'no positive test image'
    return None


@dataclass
class _Problems:
    """The training problems of all usable classes.

    Args:
        features (Tensor): Normalised, with a column of ones, (N, D + 1).
        sign (np.ndarray): +1 or -1, (classes, N).
        weight (np.ndarray): Class weight, 0 for images left out,
            (classes, N).
        held_out (np.ndarray): Fold of each image, -1 for those left out,
            (classes, N).
    """
    features: Tensor
    sign: np.ndarray
    weight: np.ndarray
    held_out: np.ndarray


def _pose(features: Tensor, labels: np.ndarray,
          protocol: SVMProtocol) -> _Problems:
    labels = labels.T
    sign = np.where(labels == 1, 1, -1)
    weight = np.where(labels == 1, protocol.positive_weight,
                      protocol.negative_weight)
    held_out = np.full(sign.shape, -1)
    for c, row in enumerate(labels):
        used = np.full(len(row), True)
        if protocol.difficult_train == 'ignore':
            used = row != 0
        weight[c, ~used] = 0
        held_out[c, used] = stratified_folds(sign[c, used], protocol.folds)
    return _Problems(features, sign, weight, held_out)


def _fold_ap(problems: _Problems, c: int, fold: int,
             scores: np.ndarray) -> float:
    rows = problems.held_out[c] == fold
    return average_precision(
        problems.sign[c, rows] > 0, scores[rows], interpolated=False)


def _batched(problems: _Problems, protocol: SVMProtocol,
             progress: Callable[[float], None]):
    """Cross-validate and train all classes with :class:`BatchedLinearSVC`."""
    features = problems.features
    svm = BatchedLinearSVC(features, protocol.tol)
    sign = torch.from_numpy(problems.sign).to(features)
    weight = torch.from_numpy(problems.weight).to(features)
    held_out = torch.from_numpy(problems.held_out).to(features.device)
    folds = torch.arange(protocol.folds, device=features.device)
    kept = held_out[:, None] != folds[:, None]
    num_classes, num = sign.shape
    fold_sign = sign[:, None].expand(-1, protocol.folds, -1).reshape(-1, num)
    fold_weight = (weight[:, None] * kept).reshape(-1, num)

    cv_ap = np.zeros((num_classes, len(protocol.costs)))
    starts = [None] * len(protocol.costs)
    solution = None
    # From the smallest cost up: each solution is where the next one starts.
    for k in np.argsort(protocol.costs):
        cost = protocol.costs[k]
        solution, scores = svm.solve(fold_sign, cost * fold_weight, solution)
        scores = scores.view(num_classes, protocol.folds, num).cpu().numpy()
        for c in range(num_classes):
            cv_ap[c, k] = np.mean([
                _fold_ap(problems, c, fold, scores[c, fold])
                for fold in range(protocol.folds)
            ])
        starts[k] = solution.view(num_classes, protocol.folds, -1).mean(1)
        progress(_effort(cost, num_classes * protocol.folds))

    best = cv_ap.argmax(1)
    start = torch.stack([starts[k][c] for c, k in enumerate(best)])
    chosen = torch.tensor([protocol.costs[k] for k in best]).to(features)
    weight = chosen[:, None] * weight
    solution, _ = svm.solve(sign, weight, start)
    progress(_effort(1., num_classes))
    return cv_ap, best, svm.weights(solution, sign, weight), 0


def _sklearn(problems: _Problems, protocol: SVMProtocol,
             progress: Callable[[float], None]):
    """The same with one scikit-learn ``LinearSVC`` after another."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    # liblinear adds the column of ones itself.
    features = problems.features[:, :-1].cpu().numpy()
    unconverged = 0

    def fit(c: int, rows: np.ndarray, cost: float) -> LinearSVC:
        nonlocal unconverged
        svm = LinearSVC(
            C=cost,
            class_weight={
                1: protocol.positive_weight,
                -1: protocol.negative_weight
            },
            penalty='l2',
            loss='squared_hinge',
            dual=True,
            intercept_scaling=1.,
            tol=protocol.tol,
            max_iter=protocol.max_iter,
            random_state=0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            svm.fit(features[rows], problems.sign[c, rows])
        unconverged += any(
            issubclass(w.category, ConvergenceWarning) for w in caught)
        return svm

    num_classes = len(problems.sign)
    cv_ap = np.zeros((num_classes, len(protocol.costs)))
    weights = np.zeros((num_classes, problems.features.shape[1]))
    for c in range(num_classes):
        used = problems.held_out[c] >= 0
        for k, cost in enumerate(protocol.costs):
            aps = []
            for fold in range(protocol.folds):
                svm = fit(c, used & (problems.held_out[c] != fold), cost)
                aps.append(
                    _fold_ap(problems, c, fold,
                             svm.decision_function(features)))
            cv_ap[c, k] = np.mean(aps)
            progress(_effort(cost, protocol.folds))
        svm = fit(c, used, protocol.costs[cv_ap[c].argmax()])
        weights[c] = np.append(svm.coef_[0], svm.intercept_[0])
        progress(_effort(1., 1))
    weights = torch.from_numpy(weights).to(problems.features)
    return cv_ap, cv_ap.argmax(1), weights, unconverged


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


def usable_classes(train_labels: np.ndarray, test_labels: np.ndarray,
                   classes: Sequence[str],
                   protocol: SVMProtocol) -> Tuple[List[int], Dict[str, str]]:
    """Tell classes that can be evaluated from those that cannot.

    Args:
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_labels (np.ndarray): The same for the test, (M, classes).
        classes (Sequence[str]): Names.
        protocol (SVMProtocol): The protocol.

    Returns:
        tuple[list[int], dict[str, str]]: Columns of the usable classes, and
        the reason for each class that is not.

    Raises:
        ValueError: If no class can be evaluated.
    """
    reasons = {
        name: _unusable(train_labels[:, c], test_labels[:, c], protocol)
        for c, name in enumerate(classes)
    }
    left_out = {name: why for name, why in reasons.items() if why}
    usable = [c for c, name in enumerate(classes) if not reasons[name]]
    if not usable:
        raise ValueError(
            'No class can be evaluated: ' +
            '; '.join(f'{name}: {why}' for name, why in left_out.items()) +
            '. Give lists with more images.')
    return usable, left_out


def evaluate_svm(train_features: Tensor,
                 train_labels: np.ndarray,
                 test_features: Tensor,
                 test_labels: np.ndarray,
                 classes: Sequence[str],
                 protocol: SVMProtocol = SVMProtocol(),
                 progress: Callable[[float], None] = lambda done: None
                 ) -> dict:
    """Train and test one SVM per class.

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
    if not torch.isfinite(test_features).all():
        raise ValueError('The test features are not finite: the backbone '
                         'gives nan or inf, so look at its checkpoint.')
    train, test = (
        torch.cat([normalize(x), x.new_ones(len(x), 1).double()], 1)
        for x in (train_features, test_features))
    problems = _pose(train, train_labels[:, usable], protocol)
    cv_ap, best, weights, unconverged = _CROSS_VALIDATE[protocol.solver](
        problems, protocol, progress)
    scores = (test @ weights.T).cpu().numpy()

    per_class = {}
    for row, c in enumerate(usable):
        asked = test_labels[:, c] != 0
        ap = average_precision(test_labels[asked, c] == 1, scores[asked, row])
        per_class[classes[c]] = dict(
            ap=100 * ap,
            cv_ap=100 * float(cv_ap[row, best[row]]),
            cost=protocol.costs[best[row]],
            cv_ap_per_cost=[100 * float(x) for x in cv_ap[row]],
            train_counts=_counts(train_labels[:, c]),
            test_counts=_counts(test_labels[:, c]))
    return dict(
        mAP=float(np.mean([r['ap'] for r in per_class.values()])),
        classes=per_class,
        left_out=left_out,
        unconverged_fits=unconverged,
        seconds=time.perf_counter() - start)


def _counts(labels: np.ndarray) -> Dict[str, int]:
    return dict(
        present=int((labels == 1).sum()),
        absent=int((labels == -1).sum()),
        difficult=int((labels == 0).sum()))
