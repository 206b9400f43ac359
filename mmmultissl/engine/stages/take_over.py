# Copyright (c) mmmultissl contributors. All rights reserved.
"""Take over a stage that another run has finished, rather than train it."""
import os
import os.path as osp
import shutil
from pathlib import Path
from typing import Iterator, Optional

from ..atomic_save import write_text_atomically
from ..backbone_weights import sha256_of
from .expand import Stage
from .inputs import digest_of
from .record import Begun, Record


def take_over(stage: Stage, inputs: dict, finished: str) -> Optional[str]:
    """Copy a finished stage that had the very same inputs.

    Training is deterministic in its inputs, so the copy is what training the
    stage here would give, on the same machine and software. Checkpoint, logs
    and records are copied; the other run's folder is only read, and may be
    removed afterwards.

    Args:
        stage (Stage): The stage, of which nothing is there yet.
        inputs (dict): What it is to be trained with, see :func:`.inputs_of`.
        finished (str): A folder, with other runs anywhere below it.

    Returns:
        str | None: The folder that it was copied from; None if none of the
        finished stages there had these inputs.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not osp.isdir(finished):
        raise FileNotFoundError(
            f'There is no folder {finished}, below which --finished-stages '
            'looks for runs: name one that is there, or leave it out.')
    for folder in _with_inputs(inputs, finished):
        if _copied(folder, stage.work_dir):
            return folder
    return None


def _with_inputs(inputs: dict, finished: str) -> Iterator[str]:
    digest = digest_of(inputs)
    for file in sorted(Path(finished).rglob('stage.json')):
        folder = str(file.parent.resolve())
        if file.parent.name.startswith('.'):  # a copy being made
            continue
        record, begun = Record.read(folder), Begun.read(folder)
        # An empty stage has another one's checkpoint.
        if (record is not None and begun is not None and record.updates > 0
                and record.config_sha256 == digest
                and begun.inputs == inputs
                and osp.isfile(record.path(folder))):
            yield folder


def _copied(source: str, target: str) -> bool:
    """Copy a stage's folder, all of it or nothing."""
    record = Record.read(source)
    beside = osp.join(
        osp.dirname(target), f'.{osp.basename(target)}.taken_over')
    shutil.rmtree(beside, ignore_errors=True)
    kept = record.path(source)
    # Of the checkpoints, the one it ended with is all that others need.
    shutil.copytree(
        source,
        beside,
        ignore=lambda folder, names: [
            name for name in names if name.endswith('.pth') and osp.join(
                folder, name) != kept
        ])
    if sha256_of(record.path(beside)) != record.sha256:
        shutil.rmtree(beside)
        return False
    write_text_atomically(
        record.path(osp.abspath(target)), osp.join(beside, 'last_checkpoint'))
    # Onto an empty folder, in one step.
    os.rename(beside, target)
    return True
