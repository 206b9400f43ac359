# Copyright (c) mmmultissl contributors. All rights reserved.
"""Words in braces that stand for what is known only when a job begins."""
import re
from typing import Any, Callable, Iterator, Tuple

# {row:moco} and the like; other braces are left alone.
_NAMED = re.compile(r'\{(row|sha256|lists):([^{}]+)\}')
_PLAIN = re.compile(r'\{(work_dir|seed|python|config|checkpoint|out)\}')


def names_in(value: Any, kind: str) -> Iterator[str]:
    """Find the names that placeholders of one kind name.

    Args:
        value (Any): Nested dicts, lists, tuples and plain values.
        kind (str): ``'row'``, ``'sha256'`` or ``'lists'``.

    Yields:
        str: The name, such as ``'moco'`` of ``{row:moco}``.
    """
    if isinstance(value, dict):
        for inner in value.values():
            yield from names_in(inner, kind)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from names_in(inner, kind)
    elif isinstance(value, str):
        for found, name in _NAMED.findall(value):
            if found == kind:
                yield name


def rows_in(value: Any) -> Tuple[str, ...]:
    """Find the rows whose checkpoints a value names.

    Args:
        value (Any): As in :func:`names_in`.

    Returns:
        tuple[str]: Their names, each once, in the order they come.
    """
    return tuple(
        dict.fromkeys([*names_in(value, 'row'), *names_in(value, 'sha256')]))


def fill(value: Any, plain: dict, named: Callable[[str, str], str]) -> Any:
    """Replace placeholders everywhere in a value.

    Args:
        value (Any): As in :func:`names_in`.
        plain (dict[str, Any]): ``work_dir``, ``seed``, ``python``,
            ``config``, ``checkpoint`` and ``out``, whichever are known; the
            others stay. A string that is nothing but ``{seed}`` becomes the
            value itself, so a number stays one.
        named (Callable): From kind and name, such as ``'row'`` and
            ``'moco'``, to the text in its place.

    Returns:
        Any: A copy with the replacements.
    """
    if isinstance(value, dict):
        return {key: fill(inner, plain, named) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(fill(inner, plain, named) for inner in value)
    if not isinstance(value, str):
        return value
    whole = _PLAIN.fullmatch(value)
    if whole and whole[1] in plain:
        return plain[whole[1]]
    value = _PLAIN.sub(lambda m: str(plain.get(m[1], m[0])), value)
    return _NAMED.sub(lambda m: named(m[1], m[2]), value)


def keep(kind: str, name: str) -> str:
    """Leave a named placeholder as it is, for :func:`fill`.

    Args:
        kind (str): Such as ``'row'``.
        name (str): Such as ``'moco'``.

    Returns:
        str: Such as ``'{row:moco}'``.
    """
    return f'{{{kind}:{name}}}'
