# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write files so that a kill at any instant leaves the old or the new one.

A file is written beside its place under another name, synced to the disk,
and renamed; then the folder is synced, since the rename itself is only in
memory until then.
"""
import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator, Union

import torch

PathLike = Union[str, 'os.PathLike[str]']

_PARTIAL = '.partial'


@contextmanager
def _written_beside(path: Path) -> Iterator[IO[bytes]]:
    partial = path.with_name(f'.{path.name}{_PARTIAL}')
    try:
        with open(partial, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == 'nt':  # Windows opens no folders; its renames are logged
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_atomically(checkpoint: Any, path: PathLike) -> None:
    """Write a checkpoint beside its place, sync it and rename it.

    One process writes to a folder: what a killed writer has left there is
    removed afterwards.

    Args:
        checkpoint (Any): What ``torch.save`` takes.
        path (str | PathLike): Where it goes; the folder is made.

    Raises:
        OSError: If the disk does not take it. Earlier files are untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _written_beside(path) as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        raise OSError(
            f'The checkpoint {path} was not written ({error}): make room on '
            'the disk or choose another work_dir; earlier checkpoints are '
            'untouched.') from error
    remove_partial(path.parent)


def write_text_atomically(text: str, path: PathLike) -> None:
    """Replace a small text file, such as ``last_checkpoint``.

    Args:
        text (str): The new content.
        path (str | PathLike): The file.
    """
    write_bytes_atomically(text.encode(), path)


def write_bytes_atomically(content: bytes, path: PathLike) -> None:
    """Replace a file of another kind than PyTorch's.

    Args:
        content (bytes): The new content.
        path (str | PathLike): The file; its folder must exist.
    """
    with _written_beside(Path(path)) as file:
        file.write(content)


def remove_partial(folder: PathLike) -> None:
    """Remove what killed writers have left in a folder.

    Args:
        folder (str | PathLike): The folder.
    """
    for left in Path(folder).glob(f'.*{_PARTIAL}'):
        left.unlink(missing_ok=True)
