# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far the encoder has moved from its frozen teachers."""
from mmmultissl.models.selfsup import MultiSSL

from .feature_memory import RemembersFeatures
from .measurement import Numbers
from .similarity import linear_cka, paired_cosine
from .step import Step


class FeatureDrift(RemembersFeatures):
    """Likeness of the trunk's features and each frozen teacher's.

    In incremental learning the teacher is the encoder of an earlier stage, so
    this shows what the new task costs the old encoder. The images are those
    of the last steps, which teacher and trunk have encoded anyway. The trunk
    is in training mode, the teacher in evaluation mode, as in the loss.

    Args:
        interval (int): Iterations between two measurements.
            Defaults to 500.
        memory (int): Images that are looked at. Defaults to 1024.
    """

    def __init__(self, interval: int = 500, memory: int = 1024) -> None:
        super().__init__(interval, memory)

    def see(self, step: Step) -> None:
        """Remember the features of both encoders.

        Args:
            step (Step): What was seen of it.
        """
        for task, (view, features) in step.teachers.items():
            self.memory.add(**{
                f'{task}/teacher': features,
                f'{task}/trunk': step.views[view]
            })

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Measure.

        Args:
            model (MultiSSL): Not used.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``drift/{task}/cka``, and
            ``drift/{task}/cosine`` where both have the same width.
        """
        rows = self.memory.rows()
        numbers = {}
        for name, trunk in rows.items():
            task, which = name.rsplit('/', 1)
            if which != 'trunk' or len(trunk) < 4:
                continue
            teacher = rows[f'{task}/teacher']
            if trunk.shape == teacher.shape:
                numbers[f'drift/{task}/cosine'] = float(
                    paired_cosine(trunk, teacher))
            numbers[f'drift/{task}/cka'] = float(linear_cka(trunk, teacher))
        return numbers
