# Copyright (c) mmmultissl contributors. All rights reserved.
"""Which versions of the OpenMMLab packages there are, and whether they do.

Versions are looked up by import name: OpenMMLab's own distributions and the
maintained ``onedl-*`` ones provide the same modules, and either may serve.
Only minimums are checked, since a newer release usually works and a refusal
cannot be argued with. The minimums are the last releases of OpenMMLab itself,
the oldest that were tried (our choice). Nothing here imports torch, except
:func:`require_mmdet`.
"""
import runpy
from importlib import import_module
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Optional

# Import name -> oldest version that serves.
MINIMUMS: Dict[str, str] = dict(
    mmengine='0.10.7', mmcv='2.1.0', mmpretrain='1.2.0', mmdet='3.3.0')

# Import name -> distribution in the maintained family. In OpenMMLab's own
# family the two are equal.
_DISTRIBUTIONS = dict(
    mmengine='onedl-mmengine',
    mmcv='onedl-mmcv',
    mmpretrain='onedl-mmpretrain',
    mmdet='onedl-mmdetection')

# pip hides torch from a build unless told not to, and mmcv then comes without
# its compiled ops; its own wheel cache does not tell such wheels apart.
OPS_FLAGS = '--no-build-isolation --no-cache-dir'


def installed_version(module: str) -> Optional[str]:
    """Find out the version of a package by its import name.

    The package itself is not imported, as that may take seconds: only its
    ``version.py`` is run, which every OpenMMLab package has.

    Args:
        module (str): Import name, such as ``'mmcv'``.

    Returns:
        str | None: The version, or None where there is no such package.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name('version.py')
    if file.is_file():
        return runpy.run_path(str(file)).get('__version__')
    return getattr(import_module(module), '__version__', None)


def install_line(module: str, ops: bool = False) -> str:
    """Write the command that installs or renews a package.

    Where the package, or else mmengine, comes from one of the two families
    already, the command stays with it: both write into the same folders and
    must not be mixed.

    Args:
        module (str): Import name of the package.
        ops (bool): Whether mmcv is to be built with its compiled ops.
            Defaults to False.

    Returns:
        str: A line for the shell.
    """
    distributions = packages_distributions()
    found = distributions.get(module)
    if found:
        distribution = found[0]
    elif 'mmengine' in distributions.get('mmengine', ()):
        distribution = module
    else:
        distribution = _DISTRIBUTIONS[module]
    if ops:
        # A distribution without ops, be it mmcv-lite, is in the way.
        remove = f'pip uninstall -y {distribution} && ' if found else ''
        distribution = distribution.replace('-lite', '')
        return (f'{remove}pip install {OPS_FLAGS} '
                f'"{distribution}>={MINIMUMS[module]}"')
    return f'pip install --upgrade "{distribution}>={MINIMUMS[module]}"'


def is_older(version: str, minimum: str) -> bool:
    """Compare two versions; a pre-release is older than its release.

    Args:
        version (str): A version, such as ``'0.10.7rc1'``.
        minimum (str): Another one.

    Returns:
        bool: Whether the first is older.
    """
    # Here, so that doctor can say that packaging is what is missing.
    from packaging.version import Version
    return Version(version) < Version(minimum)


def require(module: str, needed_for: str = 'mmmultissl') -> None:
    """Check that a package is there and new enough.

    Args:
        module (str): Import name, a key of :data:`MINIMUMS`.
        needed_for (str): What needs it, for the message.
            Defaults to 'mmmultissl'.

    Raises:
        ImportError: If it is missing or older than its minimum. The message
            holds the command that mends it.
    """
    minimum = MINIMUMS[module]
    version = installed_version(module)
    if version is None:
        raise ImportError(f'{needed_for} needs {module}>={minimum}, which is '
                          f'not installed: run `{install_line(module)}`.')
    if is_older(version, minimum):
        raise ImportError(
            f'{needed_for} needs {module}>={minimum}, but {version} is '
            f'installed: run `{install_line(module)}`.')


def require_core() -> None:
    """Check what every use of mmmultissl needs.

    Raises:
        ImportError: See :func:`require`.
    """
    for module in ('mmengine', 'mmcv', 'mmpretrain'):
        require(module)


def require_mmdet() -> None:
    """Check what detection needs: mmdet, and mmcv with its compiled ops.

    Pretraining and VOC07 need neither, so this is called by what uses mmdet.

    Raises:
        ImportError: If mmdet is missing or too old, or if mmcv was installed
            without compiled ops or with ops built for another torch.
    """
    require('mmdet', needed_for='detection')
    try:
        import_module('mmcv.ops')
    except ImportError as error:
        raise ImportError(
            'detection needs mmcv with compiled ops, but they do not load '
            f'({error}): run `{install_line("mmcv", ops=True)}`, which '
            'builds them in some minutes.') from error
