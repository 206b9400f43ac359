# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which staged rows begin with the same stages as one before them."""
from typing import Dict, Optional, Sequence, Tuple

from mmengine.config import Config

from mmmultissl.engine.stages import expand_stages
from mmmultissl.engine.stages.inputs import digest_of, inputs_of


def stage_digests(content: dict, work_dir: str) -> Tuple[str, ...]:
    """Compute a checksum of what each stage of a row depends on.

    Args:
        content (dict): The row's config, for one seed.
        work_dir (str): The folder of its training.

    Returns:
        tuple[str]: One for each stage, those before it included; empty for a
        config without stages.
    """
    if not content.get('stages'):
        return ()
    # The checksums of earlier stages' checkpoints are not known yet, so the
    # inputs alone do not tell two stages with other ones before them apart.
    found: Tuple[str, ...] = ()
    for stage in expand_stages(Config(content), work_dir):
        inputs = inputs_of(stage.cfg, work_dir, read_files=False)
        found += (digest_of(dict(inputs=inputs, before=found)), )
    return found


def row_to_follow(digests: Sequence[str],
                  others: Dict[str, Sequence[str]]) -> Optional[str]:
    """Find the row that has most first stages in common with a row.

    Args:
        digests (Sequence[str]): Of the row, by :func:`stage_digests`.
        others (dict[str, Sequence[str]]): Of the rows before it.

    Returns:
        str | None: The first of those with most; None if none has any.
    """

    def shared(row: str) -> int:
        same = [a == b for a, b in zip(digests, others[row])]
        return (same + [False]).index(False)

    best = max(others, key=shared, default=None)
    return best if best is not None and shared(best) else None
