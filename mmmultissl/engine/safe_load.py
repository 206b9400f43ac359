# Copyright (c) mmmultissl contributors. All rights reserved.
"""Read a checkpoint file without ever running code that it holds.

``torch.load(weights_only=True)`` is the reader; it is never retried in
another mode. Beyond torch's own list it accepts what files of the wider
OpenMMLab family hold: log histories, numbers and arrays of numpy, and
``ConfigDict``. Each of these is read by an inert stand-in, so that accepting
the name does not mean calling the original.
"""
import os
import pickletools
import zipfile
from pickle import UnpicklingError
from typing import IO, Any, Callable, Iterator, List, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

Source = Union[str, 'os.PathLike[str]', IO[bytes]]
MapLocation = Union[str, torch.device, Callable, dict, None]

_NUMERIC_KINDS = 'biufc'


class UnsafeCheckpointError(RuntimeError):
    """The file asks for a type or function that is not plain data."""


class BrokenCheckpointError(RuntimeError):
    """The file is cut off, damaged, or no PyTorch file at all."""


class _ReadHistory(HistoryBuffer):
    """A log history of a foreign file, reduced to its numbers.

    mmengine's own ``__setstate__`` would let the file add functions to the
    class for the whole process.
    """

    def __setstate__(self, state: dict) -> None:
        self.__init__(state['_log_history'], state['_count_history'],
                      state['max_length'])


def _no_attribute(*_args) -> None:
    """Stand for ``getattr``, by which a history names its statistics."""


def _numeric_dtype(code: str, *flags) -> np.dtype:
    """Stand for ``numpy.dtype``: numbers and truth values only."""
    dtype = np.dtype(code, *flags)
    if dtype.kind not in _NUMERIC_KINDS:
        raise UnpicklingError(f'GLOBAL numpy.dtype({code!r}) is not numeric')
    return dtype


def _allow_list() -> List[Tuple[Any, str]]:
    """List (object, name in the file) of what is read beyond torch's list.

    Returns:
        list[tuple]: In the form that ``torch.serialization.safe_globals``
        takes.
    """
    core = getattr(np, '_core', None) or np.core
    allowed = [
        (_ReadHistory, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_no_attribute, 'builtins.getattr'),
        (dict, 'mmengine.config.config.ConfigDict'),
        (_numeric_dtype, 'numpy.dtype'),
        (np.ndarray, 'numpy.ndarray'),
    ]
    # numpy 2 renamed the module; files of both are about.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed += [(core.multiarray._reconstruct, f'{module}._reconstruct'),
                    (core.multiarray.scalar, f'{module}.scalar')]
    # The unpickler also wants the class of every dtype that it completes.
    for code in np.typecodes['AllInteger'] + np.typecodes['AllFloat'] + '?':
        kind = type(np.dtype(code))
        allowed.append((kind, f'numpy.dtypes.{kind.__name__}'))
    return allowed


def load_safely(source: Source, map_location: MapLocation = 'cpu') -> Any:
    """Read a checkpoint; the only way in which mmmultissl reads one.

    Args:
        source (str | PathLike | file): The file, or an open binary file.
        map_location (str | torch.device | callable | dict | None): Where the
            tensors go, as in ``torch.load``. Defaults to 'cpu'.

    Returns:
        Any: What the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        UnsafeCheckpointError: If the file needs more than plain data.
        BrokenCheckpointError: If the file cannot be read.
    """
    name = _name_of(source)
    if isinstance(source, (str, os.PathLike)):
        source = os.path.expanduser(source)
        if not os.path.isfile(source):
            raise FileNotFoundError(
                f'There is no checkpoint file {name}: check the path.')
    try:
        with torch.serialization.safe_globals(_allow_list()):
            return torch.load(
                source, map_location=map_location, weights_only=True)
    except torch.cuda.OutOfMemoryError:
        raise
    except UnpicklingError as error:
        offending = _offending_type(source, str(error))
        if offending is None:
            raise _broken(name, error) from None
        raise UnsafeCheckpointError(
            f'The checkpoint {name} was not loaded because it holds '
            f'"{offending}", which is not plain data and could run code: '
            'take the file from a source that you trust, load it there once '
            'with torch.load(weights_only=False), and save its state_dict '
            'alone with torch.save.') from None
    except Exception as error:  # whatever a damaged file makes torch raise
        if 'TorchScript' in str(error):
            raise UnsafeCheckpointError(
                f'The checkpoint {name} was not loaded because it is a '
                'TorchScript program, not plain data: save the state_dict of '
                'its model with torch.save.') from None
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> BrokenCheckpointError:
    # torch wraps its reason in advice to load without protection.
    reason = str(error).split('WeightsUnpickler error:')[-1].strip()
    reason = (reason or type(error).__name__).splitlines()[0]
    reason = reason.split('. In PyTorch 2.6')[0].rstrip('.')
    return BrokenCheckpointError(
        f'The checkpoint {name} cannot be read ({reason}): it is cut off, '
        'damaged or no PyTorch file; copy or download it again, or name '
        'another one.')


def _name_of(source: Source) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return getattr(source, 'name', 'that was given as an open file')


def _offending_type(source: Source, message: str) -> Optional[str]:
    """Name the first thing in a file that may not be read, if there is one."""
    allowed = {name for _, name in _allow_list()}
    allowed |= set(torch._weights_only_unpickler._get_allowed_globals())
    for name in _names_in(source):
        if name not in allowed:
            return name
    # A file in torch's old format is several pickles: ask the message.
    words = message.replace('`', ' ').split()
    if 'GLOBAL' in words:
        return words[words.index('GLOBAL') + 1].rstrip('.,')
    if 'Can only' in message or 'unrecognized function' in message:
        return message.splitlines()[0].rsplit('but got ', 1)[-1]
    return None


def _names_in(source: Source) -> Iterator[str]:
    """List the global names of a pickle by reading it, executing nothing."""
    try:
        strings: List[str] = []
        for opcode, argument, _ in pickletools.genops(_pickle_of(source)):
            if opcode.name in ('GLOBAL', 'INST'):
                module, name = argument.split(' ')
                yield f'{_modern(module)}.{name}'
            elif opcode.name == 'STACK_GLOBAL':
                yield '.'.join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile):
        return  # damaged: what was found so far is all that can be said


def _modern(module: str) -> str:
    # Pickles of protocol 2 use the names of Python 2.
    return {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}.get(
        module, module)


def _pickle_of(source: Source) -> bytes:
    if not isinstance(source, (str, os.PathLike)):
        source.seek(0)
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            inner = next(name for name in archive.namelist() + ['data.pkl']
                         if name.split('/')[-1] == 'data.pkl')
            return archive.read(inner)
    if isinstance(source, (str, os.PathLike)):
        with open(source, 'rb') as file:
            return file.read()
    source.seek(0)
    return source.read()
