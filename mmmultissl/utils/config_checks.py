# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mistakes in a config file that Python itself keeps silent about."""
import ast
import os.path as osp
import re
from typing import Iterator, List, Optional, Set, Tuple

# mmengine's {{ variables }} are no Python when they stand outside a string.
_TEMPLATE = re.compile(r'\{\{\s*[\w.:$/\\-]+\s*\}\}')


def check_duplicate_keys(config_path: str) -> None:
    """Refuse a config where one dict names a key twice.

    Of ``{'moco': a, 'moco': b}`` Python keeps the last and says nothing, so
    one of two tasks with the same name would vanish. The file and the local
    files it inherits from are parsed, not run; ``package::`` bases and files
    that are not Python are left out.

    Args:
        config_path (str): The config file.

    Raises:
        FileNotFoundError: If the config, or one that it inherits from, does
            not exist.
        ValueError: If a key is repeated, or the file is not Python.
    """
    _check(osp.abspath(config_path), None, set())


def _check(path: str, heir: Optional[str], seen: Set[str]) -> None:
    if path in seen or not path.endswith('.py'):
        return
    seen.add(path)
    if not osp.isfile(path):
        origin = f' (a _base_ of {heir})' if heir else ''
        raise FileNotFoundError(
            f'The config {path}{origin} does not exist; correct the path.')
    with open(path, encoding='utf-8') as file:
        text = _TEMPLATE.sub(lambda m: '_' * len(m.group()), file.read())
    try:
        tree = ast.parse(text, path)
    except SyntaxError as error:
        raise ValueError(f'{path}, line {error.lineno}: this is no Python '
                         f'({error.msg}); correct the config.') from None
    for owner, key, first, second in _repeated(tree):
        of = f' of {owner}' if owner else ''
        raise ValueError(
            f'{path}, line {second}: the key {key!r}{of} stands already in '
            f'line {first}, and Python would keep only the last one; give '
            'each entry (each task, for example) a name of its own.')
    for base in _bases(tree, path):
        _check(osp.abspath(base), path, seen)


def _repeated(tree: ast.AST,
              owner: str = '') -> Iterator[Tuple[str, str, int, int]]:
    """Yield (where, key, first line, second line), from the top down."""
    entries: List[Tuple[Optional[str], int, ast.AST]] = []
    if isinstance(tree, ast.Dict):
        for key, value in zip(tree.keys, tree.values):
            name = key.value if isinstance(key, ast.Constant) else None
            entries.append((name, getattr(key, 'lineno', 0), value))
    elif isinstance(tree, ast.Call):
        entries = [(word.arg, word.value.lineno, word.value)
                   for word in tree.keywords]
        entries += [(None, 0, value) for value in tree.args]
    elif isinstance(tree, ast.Assign):
        target = tree.targets[0]
        name = target.id if isinstance(target, ast.Name) else None
        entries = [(name, tree.lineno, tree.value)]
    else:
        entries = [(None, 0, child) for child in ast.iter_child_nodes(tree)]
    lines = {}
    for name, line, _ in entries:
        if name is None:
            continue
        if name in lines:
            yield owner, name, lines[name], line
        lines[name] = line
    for name, _, value in entries:
        inner = owner if name is None else f'{owner}.{name}'.lstrip('.')
        yield from _repeated(value, inner)


def _bases(tree: ast.Module, path: str) -> Iterator[str]:
    """Yield the local files a config inherits from."""
    folder = osp.dirname(path)
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == '_base_'
                for target in node.targets):
            for value in ast.walk(node.value):
                if isinstance(value, ast.Constant) and isinstance(
                        value.value, str) and '::' not in value.value:
                    yield osp.join(folder, value.value)
        elif isinstance(node, ast.With):
            # with read_base(): from ..x.y import *
            for inner in node.body:
                if isinstance(inner, ast.ImportFrom) and inner.level:
                    up = [osp.pardir] * (inner.level - 1)
                    parts = (inner.module or '').split('.')
                    yield osp.join(folder, *up, *parts) + '.py'
