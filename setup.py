# Copyright (c) mmmultissl contributors. All rights reserved.
"""Packaging of mmmultissl.

OpenMMLab's tools look for a package's configs, tools and model index in the
folder ``.mim`` inside the package. Every kind of ``pip install`` goes through
setuptools' ``build_py``, so that is where the folder is filled: with links in
an editable install, so that edits to the configs count at once, and with
copies in a wheel.
"""
import os
import shutil
from pathlib import Path
from typing import Dict, List

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'mmmultissl'
MIM_CONTENTS = ('configs', 'tools', 'model-index.yml')


def read_version() -> str:
    """Read the version without importing the package, which needs torch."""
    names: Dict[str, str] = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8'), names)
    return names['__version__']


def read_requirements(name: str) -> List[str]:
    """Read ``requirements/<name>.txt``, without comments and ``-r`` lines."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.split('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith('-')]


def remove(path: Path) -> None:
    """Remove a link, a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        path.unlink()


class BuildPyWithMim(build_py):
    """``build_py`` that also fills ``mmmultissl/.mim``."""

    def run(self) -> None:
        super().run()
        if getattr(self, 'editable_mode', False):
            self._link_mim(ROOT / PACKAGE / '.mim')
        else:
            self._copy_mim(Path(self.build_lib) / PACKAGE / '.mim')

    @staticmethod
    def _link_mim(folder: Path) -> None:
        # A relative link survives moving or renaming the checkout.
        folder.mkdir(exist_ok=True)
        for name in MIM_CONTENTS:
            remove(folder / name)
            target = os.path.relpath(ROOT / name, folder)
            (folder / name).symlink_to(target, (ROOT / name).is_dir())

    @staticmethod
    def _copy_mim(folder: Path) -> None:
        # Begin anew: a config that was deleted must not come back out of an
        # old build folder.
        remove(folder)
        folder.mkdir(parents=True)
        unwanted = shutil.ignore_patterns('__pycache__', '*.py[cod]')
        for name in MIM_CONTENTS:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, folder / name, ignore=unwanted)
            else:
                shutil.copy2(ROOT / name, folder / name)


if __name__ == '__main__':
    setup(
        name=PACKAGE,
        version=read_version(),
        description='Several self-supervised pretraining tasks on one '
        'backbone, as a plugin for OpenMMLab',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        keywords='computer vision, self-supervised learning, multi-task',
        license='Apache-2.0',
        packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
        python_requires='>=3.10',
        # torch and the OpenMMLab packages are left to the extra `mim`, as
        # OpenMMLab does: two families of distributions provide them, and the
        # import checks which versions there are.
        install_requires=read_requirements('runtime'),
        extras_require={
            'mim': read_requirements('mminstall'),
            'tests': read_requirements('tests'),
            'optional': read_requirements('optional'),
        },
        cmdclass={'build_py': BuildPyWithMim},
        zip_safe=False)
