# Copyright (c) mmmultissl contributors. All rights reserved.
"""Import packages one after the other and say how each went.

``doctor`` runs this file as a process of its own, by path: an import may take
the process with it, and one that failed half-way must not be tried again in
the same process. Nothing but the standard library is needed to start.

    python import_probe.py '{"path": [...], "modules": [...], "ops": FILE}'

Each line it prints that begins with ``MARK`` is a json list: the name and
None when an import begins, the name and the outcome when it has ended.
"""
import importlib
import json
import runpy
import sys
from typing import Any, Callable

MARK = '@probe '


def _say(name: str, outcome: Any) -> None:
    print(MARK + json.dumps([name, outcome]), flush=True)


def _try(name: str, action: Callable[[], Any]) -> None:
    _say(name, None)
    try:
        value = action()
    # Whatever it raises is the answer that is looked for; torchvision for
    # another torch raises a RuntimeError, a missing library an OSError.
    except (Exception, SystemExit) as error:
        _say(name, dict(error=f'{type(error).__name__}: {error}',
                        missing=getattr(error, 'name', None)))
    else:
        _say(name, dict(value=value))


def _import(name: str) -> Any:
    module = importlib.import_module(name)
    if name != 'torch':
        return None
    count = module.cuda.device_count() if module.cuda.is_available() else 0
    return dict(
        cuda=module.version.cuda,
        gpus=[module.cuda.get_device_name(card) for card in range(count)])


def main() -> None:
    """Import what the command line asks for."""
    wanted = json.loads(sys.argv[1])
    sys.path[:] = wanted['path']
    for name in wanted['modules']:
        _try(name, lambda: _import(name))
    if wanted['ops']:
        # The check of tools/install.sh: it runs an operator.
        _try('ops', lambda: runpy.run_path(wanted['ops'])['check_ops']())


if __name__ == '__main__':
    main()
