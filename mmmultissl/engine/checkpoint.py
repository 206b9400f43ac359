# Copyright (c) mmmultissl contributors. All rights reserved.
"""Everything about checkpoint files, in one place to import from.

- reading: :func:`load_checkpoint`, never executing what a file holds
- transfer: :func:`load_pretrained`, every key of the module or an error
- writing: :func:`save_checkpoint`, plain types, all or nothing
"""
import os
from typing import Any, Union

from .atomic_save import remove_partial, save_atomically, write_text_atomically
from .latest import find_latest_complete
from .plain import restore_histories, to_plain
from .safe_load import (BrokenCheckpointError, MapLocation,
                        UnsafeCheckpointError, load_safely)
from .safe_schemes import install_safe_loading
from .strict_transfer import (check_pretrained, load_and_compare,
                              load_pretrained, require_fit, state_dict_of)

__all__ = [
    'BrokenCheckpointError', 'UnsafeCheckpointError', 'check_pretrained',
    'find_latest_complete', 'install_safe_loading', 'load_and_compare',
    'load_checkpoint', 'load_pretrained', 'load_safely', 'remove_partial',
    'require_fit', 'restore_histories', 'save_atomically', 'save_checkpoint',
    'state_dict_of', 'to_plain', 'write_text_atomically'
]


def load_checkpoint(filename: str, map_location: MapLocation = 'cpu') -> Any:
    """Read a checkpoint from a path or an address, safely.

    Args:
        filename (str): A path, or an address of a scheme that
            :func:`install_safe_loading` knows.
        map_location (str | torch.device | callable | dict | None): As in
            ``torch.load``. Defaults to 'cpu'.

    Returns:
        Any: What the file holds, for a checkpoint a dict.
    """
    from mmengine.runner import CheckpointLoader
    install_safe_loading()
    return CheckpointLoader.load_checkpoint(filename, map_location)


def save_checkpoint(checkpoint: dict,
                    filename: Union[str, 'os.PathLike[str]']) -> None:
    """Write a checkpoint of plain types and tensors, all or nothing.

    Args:
        checkpoint (dict): The content.
        filename (str | PathLike): Where it goes.

    Raises:
        TypeError: If something in it has no plain form.
        OSError: If the disk does not take it.
    """
    save_atomically(to_plain(checkpoint), filename)
