# Copyright (c) mmmultissl contributors. All rights reserved.
"""Low-shot SVMs: how good are the features with k examples of a class?

As in mmselfsup's and VISSL's scripts: for each class and sample, k images
that show it and k (classes - 1) that do not are drawn, on which one SVM per
cost is trained; for each k the cost is the one with the best mean test mAP
over the samples.
"""
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from .average_precision import average_precisions
from .liblinear import Liblinear
from .protocol import SVMProtocol, prepare
from .solver import BatchedLinear, squared_hinge
from .subset_solver import SubsetSVC

# Up to this many images per problem its Gram matrix is factorised; beyond,
# products with all images are faster. By measurement.
_MAX_SUBSET = 400
# Elements of the Gram matrices that are kept at once.
_MAX_GRAMS = 1 << 22


@dataclass(frozen=True)
class LowShotProtocol:
    """The choices of the low-shot evaluation.

    Costs, class weights and tolerance are those of the :class:`SVMProtocol`.

    Args:
        shots (tuple[int]): Positive images per class. Defaults to 1, 2, 4, 8,
            16, 32, 64, 96.
        samples (int): Independent draws for each number. Defaults to 5.
        negatives (int, optional): Negative images for each positive one.
            Defaults to None, the number of classes less one.
        seed (int): Seed of the draws. Defaults to 0.
    """
    shots: Tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 96)
    samples: int = 5
    negatives: Optional[int] = None
    seed: int = 0

    def __post_init__(self) -> None:
        shots = tuple(int(k) for k in self.shots)
        object.__setattr__(self, 'shots', shots)
        if not shots or min(shots) < 1 or self.samples < 1:
            raise ValueError(
                'Low-shot SVMs need at least one sample of at least one image '
                f'per class, but got shots={list(shots)} and '
                f'samples={self.samples}.')

    def describe(self) -> Dict[str, str]:
        """Say every choice in words, for the log and the json.

        Returns:
            dict[str, str]: What is chosen, and how.
        """
        negatives = ('the number of classes less one' if self.negatives is None
                     else str(self.negatives))
        return {
            'shots': ', '.join(map(str, self.shots)),
            'samples': f'{self.samples} independent draws per class, seed '
                       f'{self.seed}; for each positive image {negatives} '
                       'negative ones',
            'difficult in training': 'never drawn, as in mmselfsup and VISSL',
            'choice of cost': 'per number of shots, one for all classes: best '
                              'mean mAP of the samples on the test images, '
                              'as in mmselfsup and VISSL; no validation',
        }


class Draw(NamedTuple):
    """The training images of all problems with one number of shots.

    Args:
        rows (Tensor): Images, the positives first, (samples, classes, n).
        sign (Tensor): +1 or -1, float64, (samples, classes, n).
        columns (list[int]): The classes.
        left_out (dict[int, str]): Class to why it has no problems.
    """
    rows: Tensor
    sign: Tensor
    columns: List[int]
    left_out: Dict[int, str]


def draw_low_shot(labels: np.ndarray, columns: Sequence[int], shots: int,
                  protocol: LowShotProtocol) -> Draw:
    """Draw the training images of all classes and samples.

    A class with too few images for this number of shots is left out (our
    choice; the official images suffice for all).

    Args:
        labels (np.ndarray): 1, -1 or 0 (difficult), (N, all classes).
        columns (Sequence[int]): The classes that are wanted.
        shots (int): Positive images per class.
        protocol (LowShotProtocol): The other choices.

    Returns:
        Draw: The images. Each draw depends on seed, sample, shots and class
        alone.
    """
    ratio = protocol.negatives
    absent = shots * (labels.shape[1] - 1 if ratio is None else ratio)
    rows, kept, left_out = [], [], {}
    for c in columns:
        pools = [np.flatnonzero(labels[:, c] == value) for value in (1, -1)]
        for pool, name, count in zip(pools, ('positive', 'negative'),
                                     (shots, absent)):
            if len(pool) < count:
                left_out[c] = f'{len(pool)} of {count} {name} images'
        if c in left_out:
            continue
        kept.append(c)
        for sample in range(protocol.samples):
            # NumPy promises that this generator's stream never changes.
            rng = np.random.RandomState([protocol.seed, sample, shots, c])
            rows.append(
                np.concatenate([
                    rng.permutation(pool)[:count]
                    for pool, count in zip(pools, (shots, absent))
                ]))
    shape = (len(kept), protocol.samples, shots + absent)
    drawn = torch.from_numpy(np.array(rows, dtype=np.int64).reshape(shape))
    drawn = drawn.transpose(0, 1).contiguous()
    sign = torch.full(drawn.shape, -1., dtype=torch.float64)
    sign[..., :shots] = 1
    return Draw(drawn, sign, kept, left_out)


def _weights(draw: Draw, protocol: SVMProtocol) -> Tensor:
    return torch.where(draw.sign > 0, protocol.positive_weight,
                       protocol.negative_weight).double()


def _by_subsets(draw: Draw, protocol: SVMProtocol, solver: BatchedLinear,
                gram: Tensor, spent: Callable):
    """Weights of all problems for each cost, each problem by itself."""
    num = draw.rows.shape[-1]
    rows, sign, weight = (
        x.reshape(-1, num).to(gram.device)
        for x in (draw.rows, draw.sign, _weights(draw, protocol)))
    solved = {cost: [] for cost in protocol.costs}
    for part in torch.arange(len(rows)).split(max(1, _MAX_GRAMS // num**2)):
        taken = rows[part]
        svm = SubsetSVC(gram[taken[:, :, None], taken[:, None, :]], sign[part],
                        protocol.tol)
        dual = None
        for cost in sorted(protocol.costs):
            dual, _ = svm.solve(cost * weight[part], dual)
            spread = gram.new_zeros(len(taken), len(gram))
            spread.scatter_(1, taken, dual)
            solved[cost].append(spread @ solver.features)
            spent(len(taken))
    for cost, parts in solved.items():
        yield cost, torch.cat(parts)


def _by_products(draw: Draw, protocol: SVMProtocol, solver: BatchedLinear,
                 spent: Callable):
    """The same, all problems together among all images."""
    samples = solver.samples
    num = draw.rows.shape[-1]
    rows, sign, weight = (
        x.reshape(-1, num).to(samples.device)
        for x in (draw.rows, draw.sign, _weights(draw, protocol)))
    shape = (len(rows), len(samples))
    sign = samples.new_ones(shape).scatter_(1, rows, sign)
    weight = samples.new_zeros(shape).scatter_(1, rows, weight)
    solution = None
    for cost in sorted(protocol.costs):
        solution, _ = solver.solve(sign, cost * weight, solution)
        spent(len(rows))
        yield cost, solver.weights(solution, sign, cost * weight)


def _by_sklearn(draw: Draw, protocol: SVMProtocol, solver: BatchedLinear,
                fit: Liblinear, spent: Callable):
    """The same with one fit of scikit-learn's after another."""
    features = solver.features.cpu().numpy()
    num = draw.rows.shape[-1]
    for cost in protocol.costs:
        weights = []
        for rows, sign in zip(draw.rows.reshape(-1, num).numpy(),
                              draw.sign.reshape(-1, num).numpy()):
            weights.append(fit(features[rows, :-1], sign, cost))
            spent(1)
        yield cost, torch.from_numpy(np.array(weights)).to(solver.features)


def low_shot_effort(labels: np.ndarray, columns: Sequence[int],
                    protocol: SVMProtocol, low_shot: LowShotProtocol) -> float:
    """The sum of what ``progress`` of :func:`evaluate_low_shot` is told.

    Args:
        labels (np.ndarray): Labels of the training images, (N, classes).
        columns (Sequence[int]): The classes that are wanted.
        protocol (SVMProtocol): The choices of the SVM.
        low_shot (LowShotProtocol): The choices of the draws.

    Returns:
        float: Number of fits.
    """
    problems = sum(
        len(draw_low_shot(labels, columns, shots, low_shot).columns)
        for shots in low_shot.shots)
    return problems * low_shot.samples * len(protocol.costs)


def evaluate_low_shot(train_features: Tensor,
                      train_labels: np.ndarray,
                      test_features: Tensor,
                      test_labels: np.ndarray,
                      classes: Sequence[str],
                      protocol: SVMProtocol = SVMProtocol(),
                      low_shot: LowShotProtocol = LowShotProtocol(),
                      progress: Callable[[float], None] = lambda done: None,
                      solver: Optional[BatchedLinear] = None) -> dict:
    """Train and test low-shot SVMs.

    Args:
        train_features (Tensor): Features of the trainval images, (N, D).
        train_labels (np.ndarray): 1, -1 or 0 (difficult), (N, classes).
        test_features (Tensor): Features of the test images, (M, D).
        test_labels (np.ndarray): The same labels, (M, classes).
        classes (Sequence[str]): Names of the classes.
        protocol (SVMProtocol): Costs, class weights and solver. Defaults to
            mmselfsup's.
        low_shot (LowShotProtocol): The draws. Defaults to mmselfsup's.
        progress (Callable): Told the fits done since the last call. Defaults
            to nothing.
        solver (BatchedLinear, optional): One made of the prepared training
            features, to share its eigenbasis. Defaults to None.

    Returns:
        dict: ``shots`` (for each number ``mAP``, ``std``, ``min``, ``max``
        over the samples, ``cost``, ``mAP_per_sample``, ``mAP_per_cost``,
        ``classes``: how many, ``left_out``: class to reason),
        ``unconverged_fits`` (of scikit-learn) and ``seconds``.

    Raises:
        ValueError: If the loss is not the SVM's or features are not finite.
    """
    start = time.perf_counter()
    if protocol.loss != 'squared_hinge':
        raise ValueError('Low-shot classifiers are SVMs: leave the loss at '
                         f'squared_hinge, not {protocol.loss}.')
    train, test = prepare(train_features), prepare(test_features)
    if solver is None:
        solver = BatchedLinear(train, protocol.tol)
    solver = solver.with_loss(squared_hinge, protocol.tol)
    fit = Liblinear(protocol)
    gram = None
    columns = [
        c for c in range(len(classes)) if (test_labels[:, c] == 1).any()
    ]
    shots = {}
    for k in low_shot.shots:
        draw = draw_low_shot(train_labels, columns, k, low_shot)
        left_out = {classes[c]: why for c, why in draw.left_out.items()}
        if not draw.columns:
            shots[str(k)] = dict(classes=0, left_out=left_out)
            continue
        if protocol.solver == 'sklearn':
            weights = _by_sklearn(draw, protocol, solver, fit, progress)
        elif draw.rows.shape[-1] > _MAX_SUBSET:
            weights = _by_products(draw, protocol, solver, progress)
        else:
            if gram is None:
                gram = train @ train.T
            weights = _by_subsets(draw, protocol, solver, gram, progress)
        labels = test_labels[:, draw.columns * low_shot.samples]
        positive, asked = (
            torch.from_numpy(np.ascontiguousarray(x.T)).to(test.device)
            for x in (labels == 1, labels != 0))
        found = {
            cost: average_precisions(positive, w @ test.T, asked).view(
                low_shot.samples, -1).mean(1).tolist()
            for cost, w in weights
        }
        shots[str(k)] = _summary(
            100 * np.array([found[cost] for cost in protocol.costs]),
            protocol.costs, len(draw.columns), left_out)
    return dict(
        shots=shots,
        unconverged_fits=fit.unconverged,
        seconds=time.perf_counter() - start)


def _summary(aps: np.ndarray, costs: Sequence[float], classes: int,
             left_out: Dict[str, str]) -> dict:
    """Choose the cost. ``aps``: mAP, (costs, samples)."""
    best = int(aps.mean(1).argmax())
    return dict(
        mAP=float(aps[best].mean()),
        std=float(aps[best].std()),
        min=float(aps[best].min()),
        max=float(aps[best].max()),
        cost=float(costs[best]),
        mAP_per_sample=aps[best].tolist(),
        mAP_per_cost=aps.mean(1).tolist(),
        classes=classes,
        left_out=left_out)
