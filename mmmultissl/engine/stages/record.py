# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a stage was made from and what it made, on the disk."""
import json
import os.path as osp
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..atomic_save import write_text_atomically


@dataclass
class Record:
    """A finished stage: the content of ``stage.json``.

    Attributes:
        name (str): The stage's name.
        number (int): Its place in the order, from 1.
        tasks (list[str]): The pretext tasks that it trained.
        updates (int): Its optimiser updates.
        checkpoint (str): Its checkpoint, relative to the stage's folder.
        sha256 (str): The checkpoint's checksum.
        seconds (float): Wall-clock time of the stage's processes, start
            included; a part that ended with this tool killed is not in it.
        teachers (dict[str, str]): Distillation task -> checksum of the
            teacher's checkpoint.
        start_from (str | None): Checksum of the checkpoint it started from.
        config_sha256 (str): Checksum of its inputs, see :func:`.inputs_of`.
        columns (dict[str, str]): Frozen column -> checksum of the checkpoint
            that it is from.
    """
    name: str
    number: int
    tasks: List[str]
    updates: int
    checkpoint: str
    sha256: str
    seconds: float
    teachers: Dict[str, str]
    start_from: Optional[str]
    config_sha256: str
    columns: Dict[str, str] = field(default_factory=dict)

    def write(self, folder: str) -> None:
        """Write ``stage.json`` into the stage's folder.

        Args:
            folder (str): The folder.
        """
        _write(folder, 'stage.json', asdict(self))

    @classmethod
    def read(cls, folder: str) -> Optional['Record']:
        """Read ``stage.json``.

        Args:
            folder (str): The stage's folder.

        Returns:
            Record | None: None for a stage that is not finished.
        """
        content = _read(folder, 'stage.json')
        return None if content is None else cls(**content)

    def path(self, folder: str) -> str:
        """Get the path of the checkpoint.

        Args:
            folder (str): The stage's folder.

        Returns:
            str: The path.
        """
        return osp.normpath(osp.join(folder, self.checkpoint))


@dataclass
class Begun:
    """A stage that was begun: the content of ``begun.json``.

    Attributes:
        inputs (dict): What it is trained with, see :func:`.inputs_of`.
        seconds (float): Wall-clock time spent on it so far.
    """
    inputs: Dict[str, Any]
    seconds: float = 0.

    def write(self, folder: str) -> None:
        """Write ``begun.json`` into the stage's folder.

        Args:
            folder (str): The folder.
        """
        _write(folder, 'begun.json', asdict(self))

    @classmethod
    def read(cls, folder: str) -> Optional['Begun']:
        """Read ``begun.json``.

        Args:
            folder (str): The stage's folder.

        Returns:
            Begun | None: None for a stage that was not begun.
        """
        content = _read(folder, 'begun.json')
        return None if content is None else cls(**content)


def _write(folder: str, name: str, content: dict) -> None:
    write_text_atomically(
        json.dumps(content, indent=2) + '\n', osp.join(folder, name))


def _read(folder: str, name: str) -> Optional[dict]:
    path = Path(folder) / name
    return json.loads(path.read_text()) if path.is_file() else None
