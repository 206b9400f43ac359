# Copyright (c) mmmultissl contributors. All rights reserved.
"""Settings of the wrong kind, told in one sentence.

Python takes many a wrong value for another one: a text for a list of its
letters, a text for True.
"""
from numbers import Integral, Real
from typing import Any, Tuple


def dict_of(where: str, value: Any) -> dict:
    """Take a setting that is a dict.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.

    Returns:
        dict: The value, or an empty one for None.

    Raises:
        ValueError: If it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f'{where} is {short(value)}, but must be a dict: '
                         'write dict(key=value).')
    return value


def flag_of(where: str, value: Any) -> bool:
    """Take a setting that is True or False.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.

    Returns:
        bool: The value.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(value, bool):
        raise ValueError(f'{where} is {short(value)}: set it to True or '
                         'False.')
    return value


def names_of(where: str, value: Any) -> Tuple[str, ...]:
    """Take a setting that is a list of names.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting; ``--cfg-options key=a`` gives one name as a
            text.

    Returns:
        tuple[str]: The names; none for None.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(value, str):
        return (value, )
    return texts_of(where, value)


def texts_of(where: str, value: Any) -> Tuple[str, ...]:
    """Take a setting that is a list of texts.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.

    Returns:
        tuple[str]: The texts; none for None.

    Raises:
        ValueError: If it is something else, or one text.
    """
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(
            isinstance(each, str) for each in value):
        raise ValueError(f'{where} is {short(value)}, but must be a list of '
                         "texts, such as ['a', 'b'].")
    return tuple(value)


def is_count(value: Any) -> bool:
    """Whether a setting is a whole number.

    Args:
        value (Any): The setting.

    Returns:
        bool: True for integers, False for booleans too.
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a setting is a number.

    Args:
        value (Any): The setting.

    Returns:
        bool: True for integers and floats, False for booleans too.
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def short(value: Any) -> str:
    """Write a setting in a few words.

    Args:
        value (Any): The setting.

    Returns:
        str: At most 60 characters of how Python writes it.
    """
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'
