# Copyright (c) mmmultissl contributors. All rights reserved.
"""doctor: what is wrong, and the line that mends it."""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmmultissl.utils import doctor, versions
from mmmultissl.utils.doctor import Examination, Fault

ROOT = Path(__file__).resolve().parents[2]
# Without `site` there is nothing but the standard library.
BARE = [sys.executable, '-S']
# Every tool that needs the package.
TOOLS = [
    file.name for file in sorted((ROOT / 'tools').glob('*.py')) if re.search(
        r'^(import|from) mmmultissl\b', file.read_text(), re.M)
]
MISSING = ('numpy, cv2, packaging, torch, torchvision, mmengine, mmcv, '
           'mmpretrain')


def run(command, **variables):
    """Run a command in the checkout."""
    return subprocess.run([str(part) for part in command],
                          cwd=ROOT,
                          capture_output=True,
                          text=True,
                          env=dict(os.environ, **variables))


@pytest.fixture
def own_environment(monkeypatch):
    """Pretend that this is a user's environment, with its pip at hand."""
    monkeypatch.setattr(sys, 'prefix', '/home/me/env')
    monkeypatch.setattr(sys, 'base_prefix', '/usr')
    monkeypatch.setattr(sys, 'executable', '/home/me/env/bin/python')
    monkeypatch.setattr(shutil, 'which',
                        lambda name: f'/home/me/env/bin/{name}')


# As programs


def test_nothing_but_the_standard_library_is_needed():
    done = run([*BARE, 'tools/doctor.py'])
    assert done.returncode == 1
    assert f'Wrong: {sys.executable} has no {MISSING}.\n' in done.stdout
    assert f'Wrong for detection: {sys.executable} has no mmdet.\n' in \
        done.stdout
    # All of it is mended by one line, which stands once.
    assert [line for line in done.stdout.splitlines()
            if line.startswith('    ')] == [mending_line()]


def mending_line():
    """Say what the checkout offers a Python that is no environment."""
    activate = '. .venv/bin/activate'
    there = (ROOT / '.venv' / 'bin' / 'activate').is_file()
    return '    ' + (activate if there else f'tools/install.sh && {activate}')


@pytest.mark.parametrize('tool', TOOLS)
def test_a_tool_whose_import_fails_ends_in_the_verdict(tool):
    done = run([*BARE, f'tools/{tool}', 'config.py'])
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    first, *rest, last = done.stderr.splitlines()
    assert first.startswith('No module named ')
    assert f'Wrong: {sys.executable} has no {MISSING}.' in rest
    assert last == mending_line()


def test_several_processes_are_not_started_without_torch(tmp_path):
    bare = tmp_path / 'python'
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    done = run(['tools/dist_train.sh', 'config.py', '2'], PYTHON=str(bare))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == mending_line()


def test_importing_the_package_ends_in_the_verdict():
    done = run([*BARE, '-c', 'import mmmultissl'], PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert (f'needs mmengine>={versions.MINIMUMS["mmengine"]}, which is not '
            f'installed.\nWrong: {sys.executable} has no') in done.stderr
    assert done.stderr.splitlines()[-1] == mending_line()


def test_here_nothing_is_wrong():
    done = run([sys.executable, 'tools/doctor.py'])
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == 'Nothing is wrong.'
    facts = dict(line.split('  ', 1) for line in done.stdout.splitlines()
                 if '  ' in line)
    version = versions.installed_version('mmcv')
    assert facts['mmcv'].strip().startswith(version)
    assert facts['ops of mmcv'].strip().startswith('run on CPU')
    assert str(ROOT) in facts['mmmultissl']


# What is there


def examine_packages(monkeypatch, installed, owners=None):
    """Look at made-up packages: import name -> version."""
    installed = dict(dict.fromkeys([*doctor._OTHERS, *versions.MINIMUMS], '9'),
                     **installed)
    owners = dict({name: [name] for name in installed}, **(owners or {}))
    monkeypatch.setattr(doctor, '_version_of',
                        lambda module, owners: installed[module])
    monkeypatch.setattr(versions, 'packages_distributions', lambda: owners)
    found = Examination()
    doctor._examine_packages(found, owners)
    return found


def test_all_new_enough(monkeypatch):
    assert examine_packages(monkeypatch, {}).faults == []


def test_an_outdated_package_as_the_page_shows_it(monkeypatch,
                                                  own_environment):
    found = examine_packages(monkeypatch, dict(mmcv='2.0.1'))
    assert found.faults == [
        Fault(
            'mmcv 2.0.1 is installed, but 2.1.0 is the oldest that serves.',
            'pip install --upgrade "mmcv>=2.1.0"')
    ]
    assert found.status == 1
    page = (ROOT / 'docs' / 'doctor.md').read_text()
    assert doctor.faults_in_words(found.faults) in page


def test_without_packaging_ages_are_not_compared(monkeypatch,
                                                 own_environment):
    found = examine_packages(monkeypatch, dict(packaging=None, mmcv='2.0.1'))
    fault, = found.faults
    assert fault.line == 'pip install packaging'


def test_missing_packages(monkeypatch, own_environment):
    found = examine_packages(
        monkeypatch, dict(torch=None, torchvision=None, mmdet=None))
    torch, mmdet = found.faults
    assert torch.sentence == ('/home/me/env/bin/python has no torch, '
                              'torchvision.')
    # The versions that fit together are those of the checkout.
    pins = (ROOT / 'requirements' / 'mminstall.txt').read_text().splitlines()
    words = torch.line.split()
    assert words[:2] == ['pip', 'install'] and len(words) == 4
    assert set(words[2:]) < set(pins)
    assert mmdet == Fault(
        '/home/me/env/bin/python has no mmdet.',
        f'pip install --upgrade "mmdet>={versions.MINIMUMS["mmdet"]}"',
        'detection')
    found.faults.remove(torch)
    assert found.status == 2


def test_torchvision_follows_the_torch_that_is_there(monkeypatch,
                                                     own_environment):
    found = examine_packages(
        monkeypatch, dict(torch='2.9.1+cpu', torchvision=None))
    fault, = found.faults
    assert fault.line == 'pip install "torch==2.9.1" torchvision'


@pytest.mark.parametrize('names, line', [
    (['mmcv', 'onedl-mmcv'], 'pip uninstall -y mmcv onedl-mmcv && pip install '
     '--no-build-isolation --no-cache-dir "onedl-mmcv>=2.1.0"'),
    (['mmcv', 'mmcv-lite'], 'pip uninstall -y mmcv mmcv-lite && pip install '
     '--no-build-isolation --no-cache-dir "mmcv>=2.1.0"'),
])
def test_two_distributions_of_one_package(monkeypatch, own_environment, names,
                                          line):
    found = examine_packages(monkeypatch, {}, dict(mmcv=names))
    fault, = found.faults
    assert f'{names[0]} and {names[1]} are both installed' in fault.sentence
    assert fault.line == line


def make_distribution(folder, name, text, files=()):
    """Write what pip leaves of a distribution."""
    info = folder / f'{name.replace("-", "_")}-1.0.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{text}')
    for file, content in files:
        (info / file).write_text(content)


def test_an_environment_without_pip_gets_one_first(monkeypatch,
                                                   own_environment):
    fault = Fault('a is old.', 'pip install a')
    monkeypatch.setattr(doctor, '_examine_packages',
                        lambda found, owners: found.faults.append(fault) or {})
    monkeypatch.setattr(doctor, 'project_faults', lambda package: [])
    assert doctor.examine(probe=False).faults == [fault]
    monkeypatch.setattr(doctor, 'find_spec', lambda name: None)
    first, second = doctor.examine(probe=False).faults
    assert first.line == '/home/me/env/bin/python -m ensurepip'
    assert second is fault


def test_missing_requirements_are_found_at_any_depth(monkeypatch, tmp_path):
    make_distribution(
        tmp_path, 'made-up-a', 'Requires-Dist: made-up-b\n'
        'Requires-Dist: not-there>=2\n'
        'Requires-Dist: not-wanted; extra == "more"\n'
        'Requires-Dist: not-here; python_version < "3"\n')
    make_distribution(tmp_path, 'made-up-b', 'Requires-Dist: nor-there\n'
                      'Requires-Dist: made-up-a\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor.missing_requirements('made-up-a') == [
        'nor-there', 'not-there>=2']


# This project


@pytest.fixture
def made_project(monkeypatch, tmp_path):
    """Make a checkout, and what an editable install leaves elsewhere."""
    root = tmp_path / 'a checkout'
    (root / 'mmmultissl' / '.mim').mkdir(parents=True)
    (root / 'configs').mkdir()
    (root / 'tools').mkdir()
    (root / 'tools' / 'install.sh').touch()
    (root / 'mmmultissl' / '.mim' / 'configs').symlink_to('../../configs')
    monkeypatch.setattr(sys, 'prefix', '/home/me/env')
    monkeypatch.setattr(sys, 'base_prefix', '/usr')

    def install(where):
        url = dict(url=where.as_uri(), dir_info=dict(editable=True))
        make_distribution(tmp_path / 'site', 'mmmultissl', '',
                          [('direct_url.json', json.dumps(url))])
        monkeypatch.setattr(sys, 'path', [str(tmp_path / 'site')])

    return root, install


def test_an_editable_install_of_this_checkout_is_fine(made_project):
    root, install = made_project
    install(root)
    assert doctor.project_faults(root / 'mmmultissl') == []


def test_no_install(made_project, monkeypatch):
    root, _ = made_project
    monkeypatch.setattr(sys, 'path', [])
    fault, = doctor.project_faults(root / 'mmmultissl')
    assert 'has no mmmultissl' in fault.sentence
    # A path with a blank is quoted.
    assert fault.line.endswith(
        f"pip install --no-deps --no-build-isolation -e '{root}'")


def test_an_install_of_another_checkout(made_project, tmp_path):
    root, install = made_project
    install(tmp_path / 'another')
    fault, = doctor.project_faults(root / 'mmmultissl')
    assert fault.sentence == (
        f'This is the mmmultissl of {root}, but the installed one is that of '
        f'{tmp_path / "another"}.')


def test_it_runs_from_an_installed_package(tmp_path):
    """As a wheel lays it out: the tools are inside the package."""
    package = tmp_path / 'site' / 'mmmultissl'
    (package / '.mim').mkdir(parents=True)
    for name in ('utils', 'version.py'):
        source = ROOT / 'mmmultissl' / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, package / name)
    shutil.copytree(ROOT / 'tools', package / '.mim' / 'tools')
    (package / '.mim' / 'configs').mkdir()
    make_distribution(package.parent, 'mmmultissl', '')
    done = run([*BARE, package / '.mim' / 'tools' / 'doctor.py'],
               PYTHONPATH=str(package.parent))
    assert done.returncode == 1
    assert f'1.0, package {package}\n' in done.stdout
    # There is no checkout to offer; pip it is.
    assert (f'{sys.executable} has no numpy.\n    {sys.executable} -m pip '
            'install numpy\n') in done.stdout.replace(
                '    pip', f'    {sys.executable} -m pip')
    assert 'has no mmmultissl' not in done.stdout


@pytest.mark.parametrize('target, sentence', [
    ('../../nowhere', 'There is no'), ('../../tools', 'does not lead to')])
def test_configs_that_are_not_found(made_project, target, sentence):
    root, install = made_project
    install(root)
    configs = root / 'mmmultissl' / '.mim' / 'configs'
    configs.unlink()
    configs.symlink_to(target)
    fault, = doctor.project_faults(root / 'mmmultissl')
    assert sentence in fault.sentence


# What runs


def test_the_probe_survives_what_it_imports(monkeypatch, tmp_path):
    for name, text in dict(
            fine='print("words of its own")',
            lacking='import not_there_at_all',
            broken='raise RuntimeError("operator of another torch")',
            deadly='import os; os._exit(3)',
            never='x = 1').items():
        (tmp_path / f'{name}_module.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [f'{name}_module' for name in ('fine', 'lacking', 'broken',
                                           'deadly', 'never')]
    results = doctor._probe(names, ops=False)
    assert results == {
        'fine_module': dict(value=None),
        'lacking_module': dict(
            error="ModuleNotFoundError: No module named 'not_there_at_all'",
            missing='not_there_at_all'),
        'broken_module': dict(
            error='RuntimeError: operator of another torch', missing=None),
        'deadly_module': dict(error='it ended the process with status 3'),
    }


def test_the_probe_ends_even_where_an_import_does_not(monkeypatch, tmp_path):
    # With a child of its own, which would hold a pipe open.
    (tmp_path / 'endless_module.py').write_text(
        'import subprocess, time\n'
        'subprocess.Popen(["sleep", "60"])\n'
        'time.sleep(60)\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(doctor, '_PROBE_SECONDS', 1)
    results = doctor._probe(['endless_module'], ops=False)
    assert results == dict(
        endless_module=dict(error='it did not end within 1 s'))


CPU = dict(value=dict(cuda=None, gpus=[]))
H100 = dict(value=dict(cuda='13.0', gpus=['H100', 'H100']))
PRESENT = dict(
    cv2='4.12',
    torch='2.11.0+cpu',
    torchvision='0.20',
    mmcv='2.3.6',
    mmdet='3.5')


def examine_imports(monkeypatch, results, cards=0):
    monkeypatch.setattr(
        doctor, '_probe', lambda modules, ops: dict(
            dict(torch=CPU, ops=dict(value='CPU')), **results))
    monkeypatch.setattr(doctor, '_cards', lambda: cards)
    monkeypatch.setattr(
        doctor, 'metadata_version',
        lambda name: None if name == 'addict' else '1.0')
    found = Examination()
    doctor._examine_imports(found, dict(PRESENT, packaging='9'), {
        'mmcv': ['onedl-mmcv'], 'cv2': ['opencv-python']})
    return found


@pytest.mark.parametrize('module, error, missing, line', [
    ('cv2', 'ImportError: libGL.so.1: cannot open shared object file', None,
     'sudo apt-get install -y libgl1'),
    ('mmdet', "ModuleNotFoundError: No module named 'pkg_resources'",
     'pkg_resources', 'pip install "setuptools<82"'),
    ('torchvision', 'RuntimeError: operator torchvision::nms does not exist',
     None, 'pip install --upgrade "torch==2.11.0" torchvision'),
    ('cv2', 'ImportError: file too short', None,
     'pip install --force-reinstall --no-deps "opencv-python==1.0"'),
])
def test_a_package_that_cannot_be_imported(monkeypatch, own_environment,
                                           module, error, missing, line):
    found = examine_imports(
        monkeypatch, {module: dict(error=error, missing=missing)})
    fault, = found.faults
    assert fault.sentence == (f'{module} {PRESENT[module]} cannot be imported '
                              f'({error}).')
    assert fault.line == line
    assert fault.stops == ('detection' if module == 'mmdet' else 'all')


def test_one_cause_is_named_once(monkeypatch, own_environment):
    error = dict(error="ModuleNotFoundError: No module named 'addict'",
                 missing='addict')
    monkeypatch.setattr(doctor, 'missing_requirements',
                        lambda name: ['addict', 'yapf>=0.3'])
    found = examine_imports(monkeypatch, dict(mmcv=error, mmdet=error))
    fault, = found.faults
    assert fault.sentence.startswith('mmcv 2.3.6 cannot')
    assert fault.line == "pip install addict 'yapf>=0.3'"


def test_ops_that_do_not_run(monkeypatch, own_environment):
    ops = dict(error='RuntimeError: the compiled ops of mmcv do not load: No '
               "module named 'mmcv._ext'.")
    monkeypatch.setattr(versions, 'packages_distributions',
                        lambda: {'mmcv': ['onedl-mmcv']})
    monkeypatch.setattr(doctor, 'checkout', lambda: None)
    python_h = Path('/some/include/Python.h')
    monkeypatch.setattr(Path, 'is_file', lambda self: self == python_h)
    monkeypatch.setattr(doctor.sysconfig, 'get_path',
                        lambda name: '/some/include')
    found = examine_imports(monkeypatch, dict(ops=ops))
    fault, = found.faults
    assert "do not load: No module named 'mmcv._ext'" in fault.sentence
    assert fault.line == versions.install_line('mmcv', ops=True)
    assert found.status == 2
    # Building them needs a compiler and Python's headers.
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    monkeypatch.setattr(Path, 'is_file', lambda self: False)
    compiler, headers, _ = examine_imports(monkeypatch, dict(ops=ops)).faults
    assert compiler.line == 'sudo apt-get install -y g++'
    assert headers.line == ('sudo apt-get install -y python'
                            f'{sys.version_info[0]}.{sys.version_info[1]}-dev')


def test_gpus(monkeypatch, own_environment):
    assert examine_imports(monkeypatch, {}).faults == []
    fault, = examine_imports(monkeypatch, {}, cards=1).faults
    assert fault.line == ('pip install --force-reinstall "torch==2.11.0" '
                          'torchvision')
    assert fault.stops == 'the GPU'
    # What no line mends is a note.
    hidden = dict(torch=dict(value=dict(cuda='13.0', gpus=[])))
    found = examine_imports(monkeypatch, hidden, cards=1)
    assert not found.faults and 'driver may be too old' in found.notes[0]
    found = examine_imports(monkeypatch, dict(torch=H100), cards=2)
    assert ('GPU', '2 x H100, CUDA 13.0') in found.facts
    assert 'install the CUDA toolkit 13.0 (nvcc)' in found.notes[0]
    found = examine_imports(
        monkeypatch, dict(torch=H100, ops=dict(value='CPU and GPU')), cards=2)
    assert not found.notes


# The lines


def test_a_line_calls_the_pip_of_this_python(monkeypatch):
    monkeypatch.setattr(sys, 'executable', '/opt/my python/bin/python')
    line = 'pip uninstall -y a && pip install b'
    monkeypatch.setattr(shutil, 'which', lambda name: '/usr/bin/pip')
    python = "'/opt/my python/bin/python'"
    assert doctor._pip(line) == (
        f'{python} -m pip uninstall -y a && {python} -m pip install b')
    monkeypatch.setattr(shutil, 'which',
                        lambda name: '/opt/my python/bin/pip')
    assert doctor._pip(line) == line


@pytest.mark.parametrize('prefix, base, venv, line', [
    ('{root}/.venv', '/usr', True, 'tools/install.sh'),
    ('/home/me/env', '/usr', True, 'pip install x'),
    ('/usr', '/usr', True, '. .venv/bin/activate'),
    ('/usr', '/usr', False, 'tools/install.sh && . .venv/bin/activate'),
])
def test_the_line_fits_the_environment(monkeypatch, tmp_path, prefix, base,
                                       venv, line):
    if venv:
        (tmp_path / '.venv' / 'bin').mkdir(parents=True)
        (tmp_path / '.venv' / 'bin' / 'activate').touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, 'checkout', lambda: tmp_path)
    monkeypatch.setattr(sys, 'prefix', prefix.format(root=tmp_path))
    monkeypatch.setattr(sys, 'base_prefix', base)
    assert doctor._in_environment('pip install x') == line
    monkeypatch.setattr(doctor, 'checkout', lambda: None)
    assert doctor._in_environment('pip install x') == 'pip install x'


# The verdict


def test_an_import_that_fails_ends_in_the_faults(monkeypatch):
    monkeypatch.setattr(
        doctor, 'examine', lambda probe=True: Examination(
            faults=[Fault('a is old.', 'pip install a'),
                    Fault('b is old.', 'pip install b', 'detection')]))
    with pytest.raises(ImportError) as error:
        with doctor.explained_imports():
            raise ImportError('x needs a>=2: run `pip install a`.')
    assert str(error.value) == (
        'x needs a>=2.\nWrong: a is old.\n    pip install a\n'
        'Wrong for detection: b is old.\n    pip install b')


def test_an_error_of_the_code_itself_stays(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'examine', lambda probe=True: Examination())
    mine = ImportError('cannot import name x from y')
    with pytest.raises(ImportError) as error:
        with doctor.explained_imports():
            raise mine
    assert error.value is mine
    assert 'looking for the cause' in capsys.readouterr().err


@pytest.fixture
def hook(monkeypatch):
    """Import tools/explain_imports.py, which sets sys.excepthook."""
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    spec = importlib.util.spec_from_file_location(
        'explain_imports', ROOT / 'tools' / 'explain_imports.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield sys.excepthook
    sys.modules.pop('doctor', None)


def raised(error):
    """Raise an error, for its traceback."""
    try:
        raise error
    except (ImportError, ValueError):
        return sys.exc_info()


def test_the_hook(hook, monkeypatch, capsys):
    monkeypatch.setattr(
        doctor, 'examine', lambda probe=True: Examination(
            faults=[Fault('a is old.', 'pip install a')]))
    hook(*raised(ImportError('no a')))
    assert capsys.readouterr().err == (
        'no a.\nWrong: a is old.\n    pip install a\n')
    # What the package has explained is not looked into again.
    monkeypatch.setattr(doctor, 'examine', None)
    hook(*raised(doctor.Verdict('said already')))
    assert capsys.readouterr().err == 'said already\n'
    # Of several processes the first one explains.
    monkeypatch.setenv('LOCAL_RANK', '1')
    hook(*raised(ImportError('no a')))
    assert capsys.readouterr().err == 'no a\n'
    monkeypatch.setenv('LOCAL_RANK', '0')
    # Nothing wrong: the traceback stands.
    monkeypatch.setattr(doctor, 'examine', lambda probe=True: Examination())
    hook(*raised(ImportError('no a')))
    said = capsys.readouterr().err
    assert 'tools/doctor.py finds nothing wrong' in said
    assert said.rstrip().endswith('ImportError: no a')
    # Other errors are none of its business.
    monkeypatch.setattr(doctor, 'examine', None)
    hook(*raised(ValueError('a is 3: set 2')))
    assert capsys.readouterr().err.startswith('Traceback')
