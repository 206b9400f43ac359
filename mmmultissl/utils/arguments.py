# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mistyped arguments in a config, told with what they may have meant."""
import inspect
from difflib import get_close_matches

# What mmengine itself reads from, or writes into, the config of an object.
_NOT_ARGUMENTS = ('type', '_scope_', '_delete_')


def check_arguments(cls: type, cfg: dict, owner: str) -> None:
    """Refuse a config that names an argument which its class does not have.

    A class that takes ``**kwargs`` is left to check them itself.

    Args:
        cls (type): The class that the config builds.
        cfg (dict): The config.
        owner (str): Whose config it is, for the error.

    Raises:
        ValueError: If an argument is unknown, or one that is needed lacks.
    """
    parameters = inspect.signature(cls).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = ', '.join(parameters)
    for name in cfg:
        if name in parameters or name in _NOT_ARGUMENTS:
            continue
        similar = get_close_matches(name, parameters, 1)
        hint = f'did you mean {similar[0]}? ' if similar else ''
        raise ValueError(f'{owner} ({cls.__name__}) has no argument "{name}": '
                         f'{hint}It takes {known}.')
    lacking = [
        name for name, p in parameters.items()
        if p.default is p.empty and name not in cfg
    ]
    if lacking:
        raise ValueError(f'{owner} ({cls.__name__}) needs the argument '
                         f'{", ".join(lacking)}: add it to its config.')
