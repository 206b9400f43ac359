# Copyright (c) mmmultissl contributors. All rights reserved.
"""What happens right before a job begins and right after it is done."""
import datetime
import json
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.engine.backbone_weights import sha256_of

from .comparison import Comparison
from .configs import write_text
from .evaluations import last_validation
from .placeholders import fill
from .plan import Job, lists_folder, pretrain_job
from .voc_lists import write_dev_lists


def records_folder(comparison: Comparison) -> Path:
    """Name the folder of the records of finished jobs.

    Args:
        comparison (Comparison): The comparison.

    Returns:
        Path: The folder.
    """
    return comparison.folder / 'records'


def read_record(comparison: Comparison, job: str) -> dict:
    """Read what was written down when a job was done.

    Args:
        comparison (Comparison): The comparison.
        job (str): Its name.

    Returns:
        dict: See :func:`finish`; empty where it is not done.
    """
    file = records_folder(comparison) / f'{job}.json'
    return json.loads(file.read_text()) if file.is_file() else {}


def final_checkpoint(work_dir: Path) -> Path:
    """Find the checkpoint that a run has ended with.

    Args:
        work_dir (Path): Of a run, or of one with stages.

    Returns:
        Path: The file.

    Raises:
        FileNotFoundError: If there is none.
    """
    pointer = work_dir / 'last_checkpoint'
    named = Path(pointer.read_text().strip()) if pointer.is_file() else None
    if named is None or not named.is_file():
        raise FileNotFoundError(
            f'{pointer} names no checkpoint that is there'
            f'{f" ({named})" if named else ""}: restore it, or remove '
            f'{work_dir} to train it again.')
    return named


def pinned_checkpoint(comparison: Comparison, row: str,
                      seed: int) -> Dict[str, str]:
    """Find a row's checkpoint and check that it is the one it ended with.

    Args:
        comparison (Comparison): The comparison.
        row (str): The row.
        seed (int): The seed.

    Returns:
        dict[str, str]: ``row``, its path, and ``sha256``.

    Raises:
        FileNotFoundError: If it is gone.
        ValueError: If it has changed since its training was done.
    """
    path = final_checkpoint(comparison.work_dir(row, seed))
    found = sha256_of(str(path))
    known = read_record(comparison,
                        pretrain_job(row, seed)).get('checkpoint_sha256')
    if known and known != found:
        raise ValueError(
            f'{path} is not the file that the training of {row} ended with '
            f'(sha256 {found[:12]}, then {known[:12]}): restore it, or '
            'remove its folder to train it again.')
    return dict(row=str(path), sha256=found)


def begin(comparison: Comparison, job: Job) -> None:
    """Write the configs and lists that a job reads.

    Args:
        comparison (Comparison): The comparison.
        job (Job): The job.

    Raises:
        FileNotFoundError: If a checkpoint that it needs is gone.
        ValueError: If one has changed, or lists cannot be drawn.
    """
    pinned = {
        row: pinned_checkpoint(comparison, row, job.seed)
        for row in job.rows
    }
    for name in job.lists:
        folder = lists_folder(comparison, name)
        if comparison.mode == 'dev':
            settings = comparison.lists[name]
            write_dev_lists(settings['root'], folder.parent,
                            settings.get('share', .3), settings.get('seed', 0))

    def named(kind: str, name: str) -> str:
        if kind == 'lists':
            return str(lists_folder(comparison, name))
        return pinned[name][kind]

    for file, content in job.configs.items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(
            write_text(fill(content, {}, named),
                       f'Written by tools/compare.py for {job.name}.'), file)


def finish(comparison: Comparison, job: Job, seconds: float) -> Optional[str]:
    """Write down that a job is done, and on what.

    Args:
        comparison (Comparison): The comparison.
        job (Job): The job.
        seconds (float): That the command took, since it was last begun.

    Returns:
        str | None: SHA-256 of the checkpoint of a training.

    Raises:
        ValueError: If its last validation is to count and is not there.
    """
    if job.judged:
        last_validation(job.output)
    record = dict(
        job=job.name,
        command=list(job.command),
        seconds=round(seconds, 1),
        finished=utc_now(),
        configs={file: sha256_of(file)
                 for file in job.configs},
        checkpoints={
            row: pinned_checkpoint(comparison, row, job.seed)
            for row in job.rows
        })
    if (job.output / 'last_checkpoint').is_file():
        record['checkpoint_sha256'] = sha256_of(
            str(final_checkpoint(job.output)))
    elif job.output.is_file():
        record['output_sha256'] = sha256_of(str(job.output))
    folder = records_folder(comparison)
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(
        json.dumps(record, indent=2) + '\n', folder / f'{job.name}.json')
    return record.get('checkpoint_sha256')


def utc_now() -> str:
    """Say what time it is.

    Returns:
        str: Date and time in UTC, to the second.
    """
    return datetime.datetime.now(
        datetime.timezone.utc).isoformat(timespec='seconds')


def write_plan(comparison: Comparison, jobs: Sequence[Job]) -> Dict[str, Path]:
    """Write what each job depends on, before placeholders are filled in.

    Args:
        comparison (Comparison): The comparison.
        jobs (Sequence[Job]): The jobs.

    Returns:
        dict[str, Path]: Job to file: whoever compares its content knows
        whether the job is still the same.
    """
    folder = comparison.folder / 'plan'
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for job in jobs:
        parts: List[str] = []
        for file, content in job.configs.items():
            parts.append(write_text(content, file))
        for name in job.lists:
            parts.append(f'# lists {name}: {comparison.lists[name]}\n')
        files[job.name] = folder / f'{job.name}.py'
        text = '\n'.join(parts)
        if (not files[job.name].is_file()
                or files[job.name].read_text() != text):
            write_text_atomically(text, files[job.name])
    return files
