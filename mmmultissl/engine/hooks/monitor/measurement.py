# Copyright (c) mmmultissl contributors. All rights reserved.
"""What every measurement of the monitor is."""
from typing import Dict, Optional

from mmmultissl.models.selfsup import MultiSSL
from mmmultissl.utils.setting_kinds import is_count

from .step import Step

Numbers = Dict[str, float]


class Measurement:
    """Something that is measured every so often while a model trains.

    It must leave no trace in the training: no state of the model, of a
    generator or of a gradient may be changed.

    Args:
        interval (int): Iterations between two measurements. The last
            iteration is measured too.

    Raises:
        ValueError: If the interval is not a whole number of at least 1.
    """

    #: Whether all processes have to take part; otherwise the first one does.
    on_all_ranks = False
    #: Steps before a measurement that it looks at, the last one included.
    steps_seen = 1

    def __init__(self, interval: int) -> None:
        if not is_count(interval) or interval < 1:
            raise ValueError(
                f'{type(self).__name__} of MonitorHook got interval='
                f'{interval!r}: set it to a whole number of at least 1, or '
                'set the measurement to None to leave it out.')
        self.interval = interval

    def before_train(self, runner, model: MultiSSL) -> None:
        """Prepare, so that what cannot work stops the run at once.

        Args:
            runner (Runner): The runner.
            model (MultiSSL): Its model, without a wrapper.
        """

    def is_due(self, iteration: int, last: int) -> bool:
        """Whether it measures after an iteration.

        Args:
            iteration (int): The iteration, from 1.
            last (int): The last one.

        Returns:
            bool: Whether it does.
        """
        return iteration % self.interval == 0 or iteration == last

    def wants(self, iteration: int, last: int) -> bool:
        """Whether it looks at a step.

        Args:
            iteration (int): The iteration, from 1.
            last (int): The last one.

        Returns:
            bool: Whether it does.
        """
        to_go = min(-iteration % self.interval, last - iteration)
        return to_go < self.steps_seen

    def before_step(self, model: MultiSSL, iteration: int, last: int) -> None:
        """Get ready for a step.

        Args:
            model (MultiSSL): The model.
            iteration (int): The iteration, from 1.
            last (int): The last one.
        """

    def see(self, step: Step) -> None:
        """Look at a step that it wants.

        Args:
            step (Step): What was seen of it.
        """

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Measure.

        Args:
            model (MultiSSL): The model, after the step.
            iteration (int): The iteration, from 1.

        Returns:
            dict[str, float]: Name without ``monitor/`` -> number.
        """
        raise NotImplementedError

    def after_train(self) -> None:
        """Leave the model as it was."""

    def state_dict(self) -> Optional[dict]:
        """Get what a resumed run needs, None where that is nothing."""
        return None

    def load_state_dict(self, state: dict) -> None:
        """Take the state of a checkpoint.

        Args:
            state (dict): What :meth:`state_dict` gave.
        """
