# Copyright (c) mmmultissl contributors. All rights reserved.
"""Settings of the wrong kind, told in one sentence.

Python takes many a wrong value for another one: a text for a list of its
letters, a text for True.
"""
import functools
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, Callable, Dict, Iterable, Optional, Tuple

#: Takes what a setting is called, and the setting; gives it in its form.
Kind = Callable[[str, Any], Any]


def known_keys(where: str, given: dict, known: Iterable[str]) -> None:
    """Refuse keys that nobody reads.

    Args:
        where (str): What the dict is called, for the error.
        given (dict): The dict.
        known (Iterable[str]): The keys that it may have.

    Raises:
        ValueError: If it has another one.
    """
    known = list(known)
    for key in given:
        if key not in known:
            similar = get_close_matches(key, known, 1)
            hint = f'did you mean {similar[0]}?' if similar else \
                f'it takes {", ".join(known)}.'
            raise ValueError(f'{where} has the key {key}, which nobody reads: '
                             f'{hint}')


def take_settings(where: str, given: Any, kinds: Dict[str, Kind]) -> dict:
    """Take a dict of settings, each of its kind.

    Args:
        where (str): What the dict is called, for the error.
        given (Any): The settings.
        kinds (dict[str, Callable]): Key -> a function of this module.

    Returns:
        dict: Those that are there, in the form that their kinds give them.

    Raises:
        ValueError: If a key is unknown, or a setting of another kind.
    """
    given = dict_of(where, given)
    known_keys(where, given, kinds)
    return {
        key: kinds[key](f'{where}.{key}', value)
        for key, value in given.items()
    }


def optional(kind: Kind) -> Kind:
    """Let a setting be None too.

    Args:
        kind (Callable): What it is otherwise.

    Returns:
        Callable: Another kind.
    """
    return lambda where, value: None if value is None else kind(where, value)


def text_of(where: str, value: Any) -> str:
    """Take a setting that is a text.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.

    Returns:
        str: The value.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(value, str):
        raise ValueError(f'{where} is {short(value)}, but must be a text.')
    return value


def count_of(where: str, value: Any, least: int = 0) -> int:
    """Take a setting that is a whole number.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.
        least (int): The least that it may be. Defaults to 0.

    Returns:
        int: The value.

    Raises:
        ValueError: If it is something else.
    """
    if not is_count(value) or value < least:
        raise ValueError(f'{where} is {short(value)}: set it to a whole '
                         f'number, at least {least}.')
    return value


at_least_1 = functools.partial(count_of, least=1)


def number_of(where: str,
              value: Any,
              above: Optional[float] = None,
              most: Optional[float] = None) -> float:
    """Take a setting that is a number.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.
        above (float, optional): What it must be greater than. Defaults to
            None: anything.
        most (float, optional): What it may be at most. Defaults to None.

    Returns:
        float: The value.

    Raises:
        ValueError: If it is something else.
    """
    if (not is_number(value) or (above is not None and not value > above)
            or (most is not None and not value <= most)):
        bounds = [f' above {above:g}'] if above is not None else []
        bounds += [f' up to {most:g}'] if most is not None else []
        raise ValueError(f'{where} is {short(value)}: set it to a number'
                         f'{" and".join(bounds)}.')
    return value


part_of_1 = functools.partial(number_of, above=0, most=1)


def seeds_of(where: str, value: Any) -> Tuple[int, ...]:
    """Take a setting that is a list of seeds.

    Args:
        where (str): What it is called, for the error.
        value (Any): The setting.

    Returns:
        tuple[int]: The seeds.

    Raises:
        ValueError: If it is something else, or a seed comes twice.
    """
    if (not isinstance(value, (list, tuple)) or not value
            or not all(is_count(seed) and seed >= 0 for seed in value)
            or len(set(value)) < len(value)):
        raise ValueError(f'{where} is {short(value)}: set it to a list of '
                         'whole numbers from 0, each once, such as '
                         '[0, 1, 2].')
    return tuple(value)


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
