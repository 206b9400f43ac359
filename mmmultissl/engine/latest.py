# Copyright (c) mmmultissl contributors. All rights reserved.
"""Find the checkpoint from which a killed run continues."""
import os
import zipfile
from pathlib import Path
from typing import List, Optional, Union

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log

from .safe_load import BrokenCheckpointError, load_safely


def find_latest_complete(
        work_dir: Union[str, 'os.PathLike[str]']) -> Optional[str]:
    """Find the newest complete checkpoint of a run.

    The one that ``last_checkpoint`` names comes first. If it is gone or
    damaged, the newest complete file beside it is taken, and the log says
    so. Rank 0 looks; all ranks get its answer.

    Args:
        work_dir (str | PathLike): The run's folder.

    Returns:
        str | None: The path, or None for a run that has not saved yet.

    Raises:
        BrokenCheckpointError: If there are checkpoints and none is complete.
        UnsafeCheckpointError: If the one to be taken holds more than data.
    """
    answer: list = [None, None]
    if is_main_process():
        try:
            answer[0] = _find(Path(work_dir))
        except RuntimeError as error:  # raised on every rank, not on one
            answer[1] = error
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def _find(work_dir: Path) -> Optional[str]:
    pointer = work_dir / 'last_checkpoint'
    named = Path(pointer.read_text().strip()) if pointer.is_file() else None
    candidates = _candidates(work_dir, named)
    for index, path in enumerate(candidates):
        reason = _why_incomplete(path)
        if reason is None:
            if index > 0 or named is None or path.name != named.name:
                print_log(
                    f'Resuming from {path}, the newest complete checkpoint, '
                    'since last_checkpoint does not name one.',
                    logger='current')
            return str(path)
        print_log(f'Passed over {path}: {reason}', logger='current')
    if candidates:
        raise BrokenCheckpointError(
            f'None of the {len(candidates)} checkpoints of {work_dir} is '
            'complete: restore one, or give another --work-dir to start '
            'afresh.')
    return None


def _candidates(work_dir: Path, named: Optional[Path]) -> List[Path]:
    folders = {work_dir}
    # ``Path('')`` is what an empty last_checkpoint gives.
    if named is not None and named.name:
        folders.add(named.parent)
    # ``best_…`` files hold no optimizer: one cannot resume from them.
    found = [
        path.absolute() for folder in folders for path in folder.glob('*.pth')
        if not path.name.startswith(('.', 'best_'))
    ]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if named is not None:
        # A folder that was moved still has the file under the same name.
        found.sort(key=lambda path: (path != named.absolute(), path.name !=
                                     named.name))
    return found


def _why_incomplete(path: Path) -> Optional[str]:
    """Say why a file cannot be resumed from; None if it can."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                return f'{damaged} in it is damaged'
    except Exception as error:  # a damaged index can fail in many ways
        return f'its index is damaged ({error})'
    try:
        content = load_safely(path)
    except (BrokenCheckpointError, OSError) as error:
        return str(error)
    if not isinstance(content, dict) or 'meta' not in content:
        return 'it holds weights only, not the state of a run'
    return None
