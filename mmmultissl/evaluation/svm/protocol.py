# Copyright (c) mmmultissl contributors. All rights reserved.
"""The choices of the linear classifiers, and what follows from them alone.

They are those of Goyal et al., "Scaling and Benchmarking Self-Supervised
Visual Representation Learning" (ICCV 2019), in the form of mmselfsup's and
VISSL's scripts: see ``docs/voc07.md`` for every choice.
"""
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from .solver import logistic, squared_hinge

MMSELFSUP_COSTS = (1., 10., 100.) + tuple(0.5**k for k in range(4, 20))
VISSL_COSTS = (0.01, 0.1, 1., 2., 5., 10., 15., 20., 50., 100., 1000.)
LOSSES = {'squared_hinge': squared_hinge, 'logistic': logistic}
_NORM_EPS = 1e-5


@dataclass(frozen=True)
class SVMProtocol:
    """The choices of a cross-validated classifier; mmselfsup's by default.

    Args:
        loss (str): ``'squared_hinge'``, a linear SVM, or ``'logistic'``, a
            logistic regression. Defaults to ``'squared_hinge'``.
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
            fit by liblinear after another as mmselfsup does. Defaults to
            ``'batched'``.
        tol (float, optional): Tolerance of the solver. Defaults to None: 1e-6
            on the relative gradient norm for ``'batched'``, and 1e-4,
            liblinear's own measure, for ``'sklearn'``.
        max_iter (int): Most iterations of scikit-learn's solver. Defaults to
            2000.
    """
    loss: str = 'squared_hinge'
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
        for name, known in (('loss', tuple(LOSSES)),
                            ('difficult_train', ('negative', 'ignore')),
                            ('solver', ('batched', 'sklearn'))):
            if getattr(self, name) not in known:
                raise ValueError(f'{name} is one of {", ".join(known)}, not '
                                 f'{getattr(self, name)!r}.')
        if self.tol is None:
            object.__setattr__(self, 'tol',
                               1e-6 if self.solver == 'batched' else 1e-4)

    @property
    def costs_in_words(self) -> str:
        """str: The costs, one after another."""
        return ', '.join(f'{c:.3g}' for c in self.costs)

    def describe(self) -> Dict[str, str]:
        """Say every choice in words, for the log and the json.

        Returns:
            dict[str, str]: What is chosen, and how.
        """
        difficult = {
            'negative': 'counted as absent, as mmselfsup and VISSL do',
            'ignore': 'left out (mmselfsup and VISSL count it as absent)',
        }[self.difficult_train]
        classifier = {
            'squared_hinge': 'one linear SVM per class: squared hinge',
            'logistic': 'one logistic regression per class: log(1 + e^-m)',
        }[self.loss]
        return {
            'classifier': f'{classifier}, L2, intercept regularised as one '
                          'more weight',
            'class weights': f'present {self.positive_weight:g}, absent '
                             f'{self.negative_weight:g}',
            'costs': self.costs_in_words,
            'choice of cost': f'per class, best mean AP of {self.folds} '
                              'folds; among equals the first in the list; '
                              'then trained on all of trainval',
            'folds': 'stratified, not shuffled, images sorted by name (equal '
                     'to scikit-learn\'s StratifiedKFold)',
            'AP in folds': 'area under the step curve, not interpolated '
                           '(scikit-learn\'s average_precision)',
            'difficult in training': difficult,
            'solver': self._describe_solver(),
        }

    def _describe_solver(self) -> str:
        if self.solver == 'batched':
            return ('batched Newton, all classes and folds at once; gradient '
                    f'norm <= {self.tol:g} of the weights\' norm, in float64')
        peer = ('LinearSVC(dual=True' if self.loss == 'squared_hinge' else
                'LogisticRegression(solver="liblinear"')
        return (f'scikit-learn\'s {peer}, tol={self.tol:g}, '
                f'max_iter={self.max_iter}, random_state=0), one by one')


def normalize(features: Tensor) -> Tensor:
    """Divide every row by its L2 norm.

    Args:
        features (Tensor): (N, D).

    Returns:
        Tensor: float64, (N, D).
    """
    features = features.double()
    return features / (features.norm(dim=1, keepdim=True) + _NORM_EPS)


def prepare(features: Tensor) -> Tensor:
    """Normalise features and add the column of ones for the intercept.

    Args:
        features (Tensor): (N, D).

    Returns:
        Tensor: float64, (N, D + 1).

    Raises:
        ValueError: If a feature is not finite.
    """
    if not torch.isfinite(features).all():
        raise ValueError('The features are not finite: the backbone gives '
                         'nan or inf, so look at its checkpoint.')
    features = normalize(features)
    return torch.cat([features, features.new_ones(len(features), 1)], 1)


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
