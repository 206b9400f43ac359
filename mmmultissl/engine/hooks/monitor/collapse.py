# Copyright (c) mmmultissl contributors. All rights reserved.
"""Say in plain words that a run has collapsed."""
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional

from .batch_geometry import TRUNK


@dataclass
class CollapseJudge:
    """Reads the numbers of the monitor and tells when they mean collapse.

    Two kinds. All images at one point, of the trunk and of every queue's
    projections: different images have a mean cosine of practically 1; or it
    is high and an image's own positive is found no better than by chance. A
    high cosine alone is none: features behind a ReLU have a large common
    part, 0.99 in healthy runs with group norm. Few dimensions in use, of the
    trunk: its effective rank, unless a positive is nearly always found (its
    rank is below 0.1), since a common part lowers the effective rank too. A
    state changes only after several measurements in a row, and between its two
    thresholds nothing changes, so
    that a line is said once. All numbers are our choice: docs/monitor.md.

    Args:
        certain (float): Mean cosine from which on it is one point.
            Defaults to 0.9999.
        cosine (float): Mean cosine from which on it is one point if the
            positive is not found. Defaults to 0.99.
        chance (float): Rank of the positive from which on it is not found;
            0.5 is chance. Defaults to 0.4.
        rank (float): Effective rank of the trunk below which few dimensions
            are in use; it has recovered at half as much again.
            Defaults to 2.
        patience (int): Measurements in a row that must agree.
            Defaults to 3; the rank, measured more rarely, needs one.
        begin (int): Iterations at the start that are not judged, for a
            network with random weights looks collapsed. Defaults to 200.

    Raises:
        ValueError: If thresholds are the wrong way round.
    """
    certain: float = 0.9999
    cosine: float = 0.99
    chance: float = 0.4
    rank: float = 2.
    patience: int = 3
    begin: int = 200
    # Whether batches are measured too: the first of them, which may say that
    # the positive is found, is then waited for before the rank is judged.
    sees_batches: bool = field(default=False, init=False, repr=False)
    # Of the last batch: it is measured at other iterations than the rank.
    _batch_seen: bool = field(default=False, init=False, repr=False)
    _positive_rank: Optional[float] = field(
        default=None, init=False, repr=False)
    _collapsed: Dict[str, bool] = field(
        default_factory=dict, init=False, repr=False)
    _agreeing: Dict[str, int] = field(
        default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.cosine <= self.certain <= 1
                and 0 < self.chance <= 0.5 and self.rank >= 1
                and self.patience >= 1):
            raise ValueError(
                f'collapse of MonitorHook got cosine={self.cosine}, certain='
                f'{self.certain}, chance={self.chance}, rank={self.rank}, '
                f'patience={self.patience}: set cosine <= certain <= 1, '
                'chance to 0.5 or less, rank and patience to 1 or more.')

    def judge(self, numbers: Mapping[str, float], iteration: int) -> List[str]:
        """Read the numbers of one iteration.

        Args:
            numbers (Mapping[str, float]): Names without ``monitor/``.
            iteration (int): The iteration, from 1.

        Returns:
            list[str]: A sentence for every state that changed.
        """
        if f'{TRUNK}/uniformity' in numbers:
            self._batch_seen = True
            self._positive_rank = numbers.get(f'{TRUNK}/positive_rank')
        if iteration < self.begin:
            return []
        said = []
        for name, value in numbers.items():
            subject, _, key = name.rpartition('/')
            # Other cosines are not between images: see those of gradients.
            if key == 'cosine' and f'{subject}/uniformity' in numbers:
                rank = numbers.get(f'{subject}/positive_rank')
                bad = self._is_point(value, rank)
                good = not self._is_point(value, rank, 3., 0.05)
                if self._changed(name, bad, good, self.patience):
                    said.append(
                        f'The {_whose(subject)} of different images have a '
                        f'mean cosine of {_near_one(value)}: ' +
                        _one_point(subject, self._collapsed[name]))
            elif name == f'{TRUNK}/effective_rank':
                if self.sees_batches and not self._batch_seen:
                    continue
                # A large common part lowers it too, where all is well.
                found = self._positive_rank is not None and \
                    self._positive_rank < 0.1
                if self._changed(name, value < self.rank and not found,
                                 value > 1.5 * self.rank or found, 1):
                    said.append('The features have an effective rank of '
                                f'{value:.1f}: ' +
                                _dimensions(self._collapsed[name]))
        return said

    def _is_point(self,
                  cosine: float,
                  rank: Optional[float],
                  wider: float = 1.,
                  slack: float = 0.) -> bool:
        """Whether it is one point; less strictly with the last two: a wider
        distance of the cosine from 1, and less of the rank."""
        if 1 - cosine < wider * (1 - self.certain):
            return True
        return (rank is not None and 1 - cosine < wider * (1 - self.cosine)
                and rank > self.chance - slack)

    def _changed(self, name: str, bad: bool, good: bool,
                 patience: int) -> bool:
        before = self._collapsed.get(name, False)
        # Counts measurements in a row that speak for the other state.
        against = good if before else bad
        self._agreeing[name] = self._agreeing.get(name, 0) + 1 if against \
            else 0
        if self._agreeing[name] < patience:
            return False
        self._collapsed[name] = not before
        self._agreeing[name] = 0
        return True

    @property
    def collapsed(self) -> List[str]:
        """list[str]: The numbers that mean collapse at present."""
        return sorted(name for name, is_so in self._collapsed.items() if is_so)

    def state_dict(self) -> dict:
        """Get what a resumed run needs so as not to repeat itself.

        Returns:
            dict: Plain values.
        """
        return dict(
            collapsed=dict(self._collapsed),
            agreeing=dict(self._agreeing),
            batch_seen=self._batch_seen,
            positive_rank=self._positive_rank)

    def load_state_dict(self, state: dict) -> None:
        """Take the state of a checkpoint.

        Args:
            state (dict): What :meth:`state_dict` gave.
        """
        self._collapsed = dict(state['collapsed'])
        self._agreeing = dict(state['agreeing'])
        # Checkpoints of earlier versions have neither.
        self._batch_seen = state.get('batch_seen', False)
        self._positive_rank = state.get('positive_rank')


def _whose(subject: str) -> str:
    if subject == TRUNK:
        return 'features'
    task, _, queue = subject.partition('.')
    return f'projections of the task {task} ({queue})'


def _one_point(subject: str, collapsed: bool) -> str:
    what = 'the run' if subject == TRUNK else 'the task'
    if not collapsed:
        return f'{what} is no longer collapsed.'
    return (f'{what} has collapsed to one point; start again from a '
            'checkpoint before it with a lower learning rate, a longer '
            'warm-up or a slower EMA, or check that the views of an image '
            'still show the same things.')


def _dimensions(collapsed: bool) -> str:
    if not collapsed:
        return 'the run uses more dimensions again.'
    return ('the run has collapsed to few dimensions; start again from a '
            'checkpoint before it with a lower learning rate or a longer '
            'warm-up, or raise the number of negatives.')


def _near_one(value: float) -> str:
    """Write a cosine without rounding it to 1."""
    for digits in (3, 4, 5, 6):
        text = f'{value:.{digits}f}'
        if float(text) != 1:
            return text
    return text
