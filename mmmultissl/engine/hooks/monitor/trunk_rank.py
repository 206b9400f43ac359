# Copyright (c) mmmultissl contributors. All rights reserved.
"""Effective rank of the trunk's features over several batches."""
from mmmultissl.models.selfsup import MultiSSL

from .effective_rank import effective_rank
from .feature_memory import RemembersFeatures
from .measurement import Numbers
from .step import Step


class TrunkRank(RemembersFeatures):
    """RankMe of the pooled features of the trunk.

    RankMe is defined on embeddings and 25,600 images; here it is measured on
    the features that are kept and on fewer images (our choice), so it can be
    compared within a run and among runs of one memory, not with the paper's.

    Args:
        interval (int): Iterations between two measurements.
            Defaults to 500.
        memory (int): Images that are looked at, those of the last steps.
            The rank cannot be larger. Defaults to 1024.
    """

    def __init__(self, interval: int = 500, memory: int = 1024) -> None:
        super().__init__(interval, memory)

    def see(self, step: Step) -> None:
        """Remember the features of a step.

        Args:
            step (Step): What was seen of it.
        """
        if step.first is not None:
            self.memory.add(trunk=step.first)

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Measure.

        Args:
            model (MultiSSL): Not used.
            iteration (int): Not used.

        Returns:
            dict[str, float]: ``trunk/effective_rank``.
        """
        rows = self.memory.rows().get('trunk')
        if rows is None:
            return {}
        return {'trunk/effective_rank': float(effective_rank(rows))}
