# Copyright (c) mmmultissl contributors. All rights reserved.
"""A checksum of all that the figures of a comparison depend on."""
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from .comparison import Comparison
from .plan import Planner


def plan_hash(comparison: Comparison) -> str:
    """Compute a checksum of everything that the figures depend on.

    Args:
        comparison (Comparison): The comparison.

    Returns:
        str: SHA-256 of commands and whole configs of all jobs, of the lists
        and of which figures count; the folder, the interpreter and what is
        only written about it do not count.
    """
    # The features that it keeps for the report change no figure.
    quiet = replace(
        comparison,
        evaluations={
            name: replace(each, embedding=False)
            for name, each in comparison.evaluations.items()
        })
    jobs = Planner(quiet, Path('tools'), 'python').plan().jobs
    content = dict(
        jobs={
            job.name: [job.command, job.needs, job.seed, job.configs]
            for job in jobs
        },
        columns={
            name: [column.__dict__ for column in each.columns]
            for name, each in comparison.evaluations.items()
        },
        lists=comparison.lists)
    text = json.dumps(
        _without(content, str(comparison.folder)), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _without(value: Any, folder: str) -> Any:
    """Replace a folder where it is the beginning of a path."""
    if isinstance(value, dict):
        return {
            _without(key, folder): _without(inner, folder)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without(inner, folder) for inner in value]
    if not isinstance(value, str):
        return value
    return re.sub(rf'(?<![\w./-]){re.escape(folder)}(?=/|$)', '{work_dir}',
                  value)
