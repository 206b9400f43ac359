# Copyright (c) mmmultissl contributors. All rights reserved.
"""The test lists are scored once, and it is written down when and on what."""
import json
from pathlib import Path
from typing import List, Optional

from mmmultissl.engine.atomic_save import write_text_atomically

FILE = 'test_scored.json'


def read_record(folder: Path) -> List[dict]:
    """Read when the test lists were scored.

    Args:
        folder (Path): Of the comparison.

    Returns:
        list[dict]: Of each time ``begun`` (UTC), ``plan`` (SHA-256 of rows,
        configs, evaluations and seeds), ``reason`` of another time, or None.
    """
    file = folder / FILE
    return json.loads(file.read_text()) if file.is_file() else []


def allow_test(folder: Path, plan: str, now: str,
               again: Optional[str] = None) -> None:
    """Write down that the test lists are scored, or refuse.

    The same plan may go on: an interrupted run is one and the same scoring.

    Args:
        folder (Path): Of the comparison.
        plan (str): SHA-256 of the plan.
        now (str): Date and time.
        again (str, optional): Why another plan is scored in the same folder.
            Defaults to None: it is not.

    Raises:
        ValueError: If another plan has been scored and no reason is given.
    """
    known = read_record(folder)
    if known and known[-1]['plan'] == plan:
        return
    if known and not again:
        raise ValueError(
            f'The test lists were scored on {known[-1]["begun"]} by another '
            f'plan ({known[-1]["plan"][:12]}, now {plan[:12]}; '
            f'{folder / FILE}): what is chosen after that is chosen on the '
            'test lists. Undo the change, or say by --test-again why it is '
            'scored again, which the tables will show.')
    known.append(dict(begun=now, plan=plan, reason=again if known else None))
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(json.dumps(known, indent=2) + '\n', folder / FILE)
