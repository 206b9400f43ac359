# Copyright (c) mmmultissl contributors. All rights reserved.
"""Take over a stage that another run has finished, rather than train it."""
import os
import os.path as osp
import shutil
from dataclasses import replace
from typing import Iterator, Optional

from ..atomic_save import write_text_atomically
from ..backbone_weights import sha256_of
from .expand import Stage
from .inputs import digest_of
from .record import Begun, Record

# Of one run, made under its lock. Nothing that lists stages looks into it.
_BESIDE = '.taking'


def take_over(stage: Stage, inputs: dict, finished: str,
              text: str) -> Optional[str]:
    """Copy a finished stage that had the very same inputs.

    Training is deterministic in its inputs, so the copy is what training the
    stage here would give, on the same machine and software. Checkpoint, logs
    and records are copied; the other run's folder is only read, and may be
    removed afterwards. The copy is there as a whole or not at all.

    Args:
        stage (Stage): The stage, of which nothing is there yet.
        inputs (dict): What it is to be trained with, see :func:`.inputs_of`.
        finished (str): A folder, with other runs anywhere below it.
        text (str): The config as text, which is written into the copy.

    Returns:
        str | None: The folder that it was copied from; None if none of the
        finished stages there had these inputs, or no seed is set, so that
        every run is to be another one.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not osp.isdir(finished):
        raise FileNotFoundError(
            f'There is no folder {finished}, below which --finished-stages '
            'looks for runs: name one that is there, or leave it out.')
    if inputs.get('randomness.seed') is None:
        return None
    for folder in _finished_below(finished):
        # What is foreign, damaged or being removed is not what is wanted.
        try:
            if _is_same(folder, inputs) and _copied(folder, stage, text):
                return folder
        except (OSError, ValueError, TypeError, KeyError):
            continue
        finally:
            clear(osp.dirname(stage.work_dir))
    return None


def clear(work_dir: str) -> None:
    """Remove what is left of a copy that was cut off.

    Args:
        work_dir (str): The folder of the whole run.
    """
    shutil.rmtree(osp.join(work_dir, _BESIDE), ignore_errors=True)


def _finished_below(folder: str) -> Iterator[str]:
    # It passes over folders that vanish meanwhile.
    for place, folders, files in os.walk(osp.realpath(folder)):
        folders[:] = sorted(name for name in folders
                            if not name.startswith('.'))
        if 'stage.json' in files:
            yield place


def _is_same(folder: str, inputs: dict) -> bool:
    record, begun = Record.read(folder), Begun.read(folder)
    # An empty stage has another one's checkpoint.
    return (record is not None and begun is not None and record.updates > 0
            and record.config_sha256 == digest_of(inputs)
            and begun.inputs == inputs)


def _copied(source: str, stage: Stage, text: str) -> bool:
    """Copy a stage's folder, all of it or nothing."""
    target = osp.abspath(stage.work_dir)
    record = Record.read(source)
    kept = record.path(source)
    if any(not name.endswith('.partial') for name in os.listdir(target)):
        return False
    beside = osp.join(osp.dirname(target), _BESIDE)
    clear(osp.dirname(target))
    # Of the checkpoints, the one it ended with is all that others need.
    shutil.copytree(
        source,
        beside,
        ignore=lambda folder, names: [
            name for name in names if name.endswith('.partial') or
            (name.endswith('.pth') and osp.join(folder, name) != kept)
        ])
    if sha256_of(record.path(beside)) != record.sha256:
        return False
    # There it may have another name and place.
    replace(
        record,
        name=stage.name,
        number=stage.number,
        tasks=list(stage.tasks)).write(beside)
    write_text_atomically(text, osp.join(beside, 'config.py'))
    write_text_atomically(
        record.path(target), osp.join(beside, 'last_checkpoint'))
    shutil.rmtree(target)
    os.rename(beside, target)
    return True
