# Copyright (c) mmmultissl contributors. All rights reserved.
"""Version checks: by import name, minimums, and a line that mends."""
import subprocess
import sys

import pytest

from mmmultissl.utils import versions


def make_package(folder, name, version_py):
    """Write an importable package with a version.py."""
    package = folder / name
    package.mkdir()
    # What the package itself holds must not be run for its version.
    (package / '__init__.py').write_text('raise RuntimeError("imported")\n')
    (package / 'version.py').write_text(version_py)


@pytest.mark.parametrize('version_py', [
    "__version__ = '0.9.1'\n",
    "def version():\n    return '0.9.1'\n\n\n__version__ = version()\n",
])
def test_version_is_read_without_importing_the_package(tmp_path, monkeypatch,
                                                       version_py):
    make_package(tmp_path, 'some_package_of_a_test', version_py)
    monkeypatch.syspath_prepend(tmp_path)
    assert versions.installed_version('some_package_of_a_test') == '0.9.1'


def test_a_missing_package_has_no_version():
    assert versions.installed_version('no_such_package_anywhere') is None


@pytest.mark.parametrize('installed, fine', [
    ('0.10.7', True),
    ('0.10.12', True),
    ('1.3.0', True),
    ('0.10.6', False),
    ('0.10.7rc1', False),
    ('0.9.9', False),
])
def test_minimum(monkeypatch, installed, fine):
    monkeypatch.setattr(versions, 'installed_version', lambda _: installed)
    monkeypatch.setitem(versions.MINIMUMS, 'mmengine', '0.10.7')
    if fine:
        versions.require('mmengine')
    else:
        with pytest.raises(ImportError, match=rf'but {installed} is inst'):
            versions.require('mmengine')


@pytest.mark.parametrize('distribution, named', [
    ('mmengine', 'mmengine'),
    ('onedl-mmengine', 'onedl-mmengine'),
    (None, 'onedl-mmengine'),
])
def test_the_line_stays_with_the_family(monkeypatch, distribution, named):
    found = {'mmengine': [distribution]} if distribution else {}
    monkeypatch.setattr(versions, 'packages_distributions', lambda: found)
    monkeypatch.setattr(versions, 'installed_version', lambda _: None)
    minimum = versions.MINIMUMS['mmengine']
    line = f'pip install --upgrade "{named}>={minimum}"'
    with pytest.raises(ImportError) as error:
        versions.require('mmengine')
    assert str(error.value) == (
        f'mmmultissl needs mmengine>={minimum}, which is not installed: run '
        f'`{line}`.')


@pytest.mark.parametrize('engine, named', [
    ('mmengine', 'mmdet'),
    ('onedl-mmengine', 'onedl-mmdetection'),
])
def test_a_missing_package_is_of_the_family_of_mmengine(
        monkeypatch, engine, named):
    monkeypatch.setattr(versions, 'packages_distributions',
                        lambda: {'mmengine': [engine]})
    assert f'"{named}>=' in versions.install_line('mmdet')


def test_the_line_for_ops_replaces_lite(monkeypatch):
    monkeypatch.setattr(versions, 'packages_distributions',
                        lambda: {'mmcv': ['mmcv-lite']})
    minimum = versions.MINIMUMS['mmcv']
    assert versions.install_line('mmcv', ops=True) == (
        'pip uninstall -y mmcv-lite && pip install --no-build-isolation '
        f'--no-cache-dir "mmcv>={minimum}"')


def test_missing_ops_are_named_when_detection_is_wanted(monkeypatch):

    def no_ops(name):
        raise ImportError(f"No module named '{name}._ext'")

    monkeypatch.setattr(versions, 'installed_version', lambda _: '3.5.1')
    monkeypatch.setattr(versions, 'import_module', no_ops)
    with pytest.raises(ImportError, match='--no-build-isolation'):
        versions.require_mmdet()


def test_what_is_installed_passes():
    versions.require_core()
    versions.require_mmdet()


def test_importing_us_imports_no_torch_and_makes_our_configs_known():
    code = ('import sys, mmmultissl\n'
            'from mmengine.config.utils import MODULE2PACKAGE\n'
            'assert MODULE2PACKAGE["mmmultissl"] == "mmmultissl"\n'
            'sys.exit("torch" in sys.modules)\n')
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
