# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a stage was made from and what it made, on the disk."""
import ast
import hashlib
import json
import os.path as osp
from dataclasses import asdict, dataclass
from pathlib import Path
from pprint import pformat
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config

from ..atomic_save import write_text_atomically

# What the weights depend on. Folders, logging, evaluation and the number of
# worker processes are not among it: they may change between two starts.
_INPUTS = ('model', 'data_preprocessor', 'train_dataloader', 'train_cfg',
           'optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'load_from',
           'start_from', 'checkpoint', 'strict_load', 'custom_hooks',
           'randomness', 'env_cfg', 'sync_bn', 'model_wrapper_cfg',
           'find_unused_parameters', 'compile', 'runner_type')
_IGNORED = ('num_workers', 'persistent_workers', 'pin_memory',
            'prefetch_factor')
_SHOWN = 3


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
        config_sha256 (str): Checksum of its inputs, see :func:`inputs_of`.
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
        inputs (dict): What it is trained with, see :func:`inputs_of`.
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


def inputs_of(cfg: Config,
              work_dir: str,
              options: Sequence[str] = ()) -> Dict[str, Any]:
    """List what the weights of a stage depend on, flat.

    Args:
        cfg (Config): The stage's config.
        work_dir (str): The folder of the whole run; paths below it are
            written relative to it, so that it may be moved.
        options (Sequence[str]): Flags of the training tool that change the
            result, such as ``--amp``. Defaults to none.

    Returns:
        dict: ``model.backbone.depth`` and so on -> plain value.
    """
    found: Dict[str, Any] = dict(options=list(options))
    content = cfg.to_dict()
    for key in _INPUTS:
        if key in content:
            _flatten(content[key], key, osp.join(work_dir, ''), found)
    # As it will be read back: tuples are lists in JSON.
    return json.loads(json.dumps(found))


def text_of(cfg: Config, about: str) -> str:
    """Write a config as the text of a file.

    mmengine's own ``dump`` sorts the keys, but the order of tasks is the
    order in which their weights are drawn.

    Args:
        cfg (Config): The config.
        about (str): Its first line, a comment.

    Returns:
        str: The text.

    Raises:
        ValueError: If it holds something that is no plain value.
    """
    lines = [f'# {about}']
    for key, value in cfg.to_dict().items():
        text = pformat(value, sort_dicts=False, width=79)
        try:
            ast.literal_eval(text)
        except ValueError:
            raise ValueError(
                f'The config has something in {key} that cannot be written '
                'into the config of a stage: use numbers, strings, lists and '
                'dicts, and name types by strings.') from None
        lines.append(f'{key} = {text}')
    return '\n'.join(lines) + '\n'


def digest_of(inputs: Dict[str, Any]) -> str:
    """Compute the checksum of a stage's inputs.

    Args:
        inputs (dict): From :func:`inputs_of`.

    Returns:
        str: 64 hexadecimal digits.
    """
    text = json.dumps(inputs, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def require_same_inputs(begun: Begun, inputs: Dict[str, Any],
                        folder: str) -> None:
    """Refuse to go on with a stage under other settings.

    Args:
        begun (Begun): What the stage was begun with.
        inputs (dict): What it would go on with.
        folder (str): The stage's folder, for the message.

    Raises:
        ValueError: With what has changed.
    """
    old, nothing = begun.inputs, '(not set)'
    changes = [
        f'{key} was {_short(old.get(key, nothing))} and is '
        f'{_short(inputs.get(key, nothing))}'
        for key in sorted(old.keys() | inputs.keys())
        if old.get(key, nothing) != inputs.get(key, nothing)
    ]
    if changes:
        more = len(changes) - _SHOWN
        raise ValueError(
            f'{folder} was trained with other settings: '
            f'{"; ".join(changes[:_SHOWN])}'
            f'{f"; and {more} more" if more > 0 else ""}. Undo the change, '
            'give another --work-dir, or remove this folder and those of the '
            'stages after it to train them anew.')


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f'{text[:57]}…'


def _flatten(value: Any, key: str, folder: str, into: Dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            if name not in _IGNORED:
                _flatten(inner, f'{key}.{name}', folder, into)
    elif isinstance(value, (list, tuple)) and any(
            isinstance(inner, (dict, list, tuple)) for inner in value):
        for index, inner in enumerate(value):
            _flatten(inner, f'{key}.{index}', folder, into)
    elif isinstance(value, str) and value.startswith(folder):
        into[key] = value[len(folder):]
    else:
        plain = (str, int, float, bool, list, tuple, dict, type(None))
        into[key] = value if isinstance(value, plain) else str(value)


def _write(folder: str, name: str, content: dict) -> None:
    write_text_atomically(
        json.dumps(content, indent=2) + '\n', osp.join(folder, name))


def _read(folder: str, name: str) -> Optional[dict]:
    path = Path(folder) / name
    return json.loads(path.read_text()) if path.is_file() else None
