# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which staged rows begin with the same stages as one before them."""
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import Config

from mmmultissl.engine.stages import expand_stages
from mmmultissl.engine.stages.inputs import digest_of, inputs_of


class StageDigest(NamedTuple):
    """What tells a stage from those of other rows.

    Attributes:
        sha256 (str): Of all that it depends on, the stages before included.
        updates (int): Its updates.
    """
    sha256: str
    updates: int


def stage_digests(content: dict, work_dir: str) -> Tuple[StageDigest, ...]:
    """Compute a checksum of what each stage of a row depends on.

    Args:
        content (dict): The row's config, for one seed.
        work_dir (str): The folder of its training.

    Returns:
        tuple[StageDigest]: One for each stage; empty for a config without
        stages.
    """
    if not content.get('stages'):
        return ()
    # The checksums of earlier stages' checkpoints are not known yet, so the
    # inputs alone do not tell two stages with other ones before them apart.
    found: Tuple[StageDigest, ...] = ()
    for stage in expand_stages(Config(content), work_dir):
        inputs = inputs_of(stage.cfg, work_dir, read_files=False)
        found += (StageDigest(
            digest_of(dict(inputs=inputs, before=found)), stage.updates), )
    return found


def row_to_follow(digests: Sequence[StageDigest],
                  others: Dict[str, Sequence[StageDigest]]) -> Optional[str]:
    """Find the row that has most first stages in common with a row.

    Args:
        digests (Sequence[StageDigest]): Of the row, by
            :func:`stage_digests`.
        others (dict[str, Sequence[StageDigest]]): Of the rows before it.

    Returns:
        str | None: The first of those with most; None if none has any.
    """

    def shared(row: str) -> int:
        return len(in_common(digests, others[row]))

    best = max(others, key=shared, default=None)
    return best if best is not None and shared(best) else None


def in_common(one: Sequence[StageDigest],
              other: Sequence[StageDigest]) -> Sequence[StageDigest]:
    """List the first stages that two rows have in common.

    Args:
        one (Sequence[StageDigest]): Of a row.
        other (Sequence[StageDigest]): Of another one.

    Returns:
        Sequence[StageDigest]: Those of both, up to where they differ.
    """
    same = [a == b for a, b in zip(one, other)]
    return one[:(same + [False]).index(False)]
