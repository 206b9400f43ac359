# Copyright (c) mmmultissl contributors. All rights reserved.
"""Say in plain words that a run has collapsed."""
from dataclasses import dataclass, field
from typing import Dict, List, Mapping

from .batch_geometry import TRUNK


@dataclass
class CollapseJudge:
    """Reads the numbers of the monitor and tells when they mean collapse.

    Two kinds, of the trunk and of every queue's projections: all images at
    one point (their mean cosine), and, of the trunk, few dimensions in use
    (the effective rank). A state changes only after several measurements in a
    row, and a number between the two thresholds changes nothing, so that a
    line is said once. All numbers are our choice: see docs/monitor.md.

    Args:
        cosine (float): Mean cosine from which on images count as one point.
            Defaults to 0.99.
        recovered_cosine (float): Mean cosine below which they are apart
            again. Defaults to 0.97.
        rank (float): Effective rank of the trunk below which few dimensions
            are in use. Defaults to 2.
        recovered_rank (float): Effective rank above which it is no collapse
            any more. Defaults to 3.
        patience (int): Measurements in a row that must agree.
            Defaults to 3; the rank, measured more rarely, needs one.
        begin (int): Iterations at the start that are not judged, for a
            network with random weights looks collapsed. Defaults to 200.

    Raises:
        ValueError: If thresholds are the wrong way round.
    """
    cosine: float = 0.99
    recovered_cosine: float = 0.97
    rank: float = 2.
    recovered_rank: float = 3.
    patience: int = 3
    begin: int = 200
    _collapsed: Dict[str, bool] = field(
        default_factory=dict, init=False, repr=False)
    _agreeing: Dict[str, int] = field(
        default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.recovered_cosine > self.cosine or \
                self.recovered_rank < self.rank or self.patience < 1:
            raise ValueError(
                'collapse of MonitorHook got cosine='
                f'{self.cosine}, recovered_cosine={self.recovered_cosine}, '
                f'rank={self.rank}, recovered_rank={self.recovered_rank}, '
                f'patience={self.patience}: a run recovers at a lower cosine '
                'and a higher rank than it collapses, and patience is at '
                'least 1.')

    def judge(self, numbers: Mapping[str, float], iteration: int) -> List[str]:
        """Read the numbers of one iteration.

        Args:
            numbers (Mapping[str, float]): Names without ``monitor/``.
            iteration (int): The iteration, from 1.

        Returns:
            list[str]: A sentence for every state that changed.
        """
        if iteration < self.begin:
            return []
        said = []
        for name, value in numbers.items():
            subject, _, key = name.rpartition('/')
            if key == 'cosine' and f'{subject}/uniformity' in numbers:
                whose = _whose(subject)
                if self._changed(name, value > self.cosine,
                                 value < self.recovered_cosine,
                                 self.patience):
                    said.append(
                        f'The {whose} of different images have a mean cosine '
                        f'of {value:.3f}: ' + _one_point(
                            subject, self._collapsed[name]))
            elif name == f'{TRUNK}/effective_rank':
                if self._changed(name, value < self.rank,
                                 value > self.recovered_rank, 1):
                    said.append(
                        f'The features have an effective rank of {value:.1f}: '
                        + ('the run has collapsed to few dimensions; lower '
                           'the learning rate, lengthen its warm-up, or raise '
                           'the number or hardness of the negatives.'
                           if self._collapsed[name] else
                           'the run uses more dimensions again.'))
        return said

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
            collapsed=dict(self._collapsed), agreeing=dict(self._agreeing))

    def load_state_dict(self, state: dict) -> None:
        """Take the state of a checkpoint.

        Args:
            state (dict): What :meth:`state_dict` gave.
        """
        self._collapsed = dict(state['collapsed'])
        self._agreeing = dict(state['agreeing'])


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
