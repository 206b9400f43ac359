#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Say what is installed, what is wrong, and the line that mends it.

    python tools/doctor.py

Only the standard library is needed. The exit status is 0 where nothing is
wrong, 1 where nothing works, and 2 where only a part does not, such as
detection.
"""
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from types import ModuleType

_OLDEST = (3, 10)


def load_doctor() -> ModuleType:
    """Load ``mmmultissl.utils.doctor`` even where mmmultissl cannot be.

    Returns:
        module: It, without the package's own ``__init__`` where that fails.
    """
    if sys.version_info < _OLDEST:
        sys.exit('mmmultissl needs Python 3.10, 3.11 or 3.12, and this is '
                 '{}.{}: name a newer one.\n    '
                 'PYTHON=python3.12 tools/install.sh'.format(
                     *sys.version_info[:2]))
    if 'mmmultissl' not in sys.modules:
        here = Path(__file__).resolve()
        package = here.parents[1] / 'mmmultissl'
        if not package.is_dir():  # mmmultissl/.mim/tools of a wheel
            package = here.parents[2]
        bare = ModuleType('mmmultissl')
        bare.__path__ = [str(package)]
        sys.modules['mmmultissl'] = bare
    from mmmultissl.utils import doctor
    return doctor


def main() -> int:
    """Examine and print.

    Returns:
        int: The exit status.
    """
    parser = ArgumentParser(
        description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        '--quick',
        action='store_true',
        help='import nothing: answers at once, and misses what is installed '
        'but broken')
    args = parser.parse_args()
    doctor = load_doctor()
    if not args.quick:
        print('Importing what is installed: some ten seconds ...',
              file=sys.stderr, flush=True)
    found = doctor.examine(probe=not args.quick)
    print(doctor.report(found))
    return found.status


if __name__ == '__main__':
    sys.exit(main())
