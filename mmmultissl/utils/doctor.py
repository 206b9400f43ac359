# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is installed, what is wrong with it, and the line that mends it.

``tools/doctor.py`` prints all of it; ``import mmmultissl`` and the tools ask
for the faults when an import fails. Only the standard library is needed.
"""
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from . import import_probe, versions

PACKAGE = Path(__file__).resolve().parents[1]

# Import name -> distribution, for what is not of OpenMMLab.
_OTHERS = dict(
    numpy='numpy',
    cv2='opencv-python',
    packaging='packaging',
    torch='torch',
    torchvision='torchvision')
_FOR_DETECTION = ('mmdet', )

# Part of a message -> what it means on Debian and Ubuntu.
_LIBRARIES = {
    'libGL.so': 'sudo apt-get install -y libgl1',
    'libgthread-2': 'sudo apt-get install -y libglib2.0-0',
}
# Importing all of it takes ten seconds where nothing else runs.
_PROBE_SECONDS = 180


class Verdict(ImportError):
    """An import failed, and the message says what mends it."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong.

    Args:
        sentence (str): What is wrong, and where.
        line (str): What mends it, to be pasted into a shell.
        stops (str): What does not work because of it: ``'all'``,
            ``'detection'`` or ``'the GPU'``. Defaults to ``'all'``.
    """

    sentence: str
    line: str
    stops: str = 'all'


@dataclass
class Examination:
    """What was found.

    Args:
        facts (list[tuple[str, str]]): Names and values.
        faults (list[Fault]): What is wrong.
        notes (list[str]): What is good to know and stops nothing.
    """

    facts: List[Tuple[str, str]] = field(default_factory=list)
    faults: List[Fault] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """int: 0: nothing is wrong, 1: nothing works, 2: a part does not."""
        if any(fault.stops == 'all' for fault in self.faults):
            return 1
        return 2 if self.faults else 0


def examine(probe: bool = True) -> Examination:
    """Look at this Python and what is installed in it.

    Args:
        probe (bool): Whether to import every package in another process and
            run an operator of mmcv, which takes some ten seconds.
            Defaults to True.

    Returns:
        Examination: What was found.
    """
    found = Examination()
    found.facts.append(('Python', f'{platform.python_version()}, '
                        f'{sys.executable}, {platform.platform()}'))
    owners = metadata.packages_distributions()
    present = _examine_packages(found, owners)
    found.faults += project_faults(PACKAGE)
    if probe:
        _examine_imports(found, present, owners)
    if find_spec('pip') is None and any('pip ' in fault.line
                                        for fault in found.faults):
        # So do environments that uv has made.
        found.faults.insert(
            0,
            Fault(f'{sys.executable} has no pip, which mends the rest.',
                  f'{shlex.quote(sys.executable)} -m ensurepip'))
    found.facts.append(('mmmultissl', _project_words()))
    return found


# What is there


def checkout() -> Optional[Path]:
    """Find the checkout that this file is of.

    Returns:
        Path | None: Its folder; None in an installed package.
    """
    root = PACKAGE.parent
    return root if (root / 'tools' / 'install.sh').is_file() else None


def _examine_packages(found: Examination,
                      owners: Dict[str, List[str]]) -> Dict[str, str]:
    """Look for missing, doubled and outdated packages.

    Returns:
        dict[str, str]: Import name -> version of those that are there.
    """
    present: Dict[str, str] = {}
    missing: Dict[Tuple[str, str], List[str]] = {}
    for module in [*_OTHERS, *versions.MINIMUMS]:
        stops = 'detection' if module in _FOR_DETECTION else 'all'
        version = _version_of(module, owners)
        if version is None:
            found.facts.append((module, 'not installed'))
            line = _install_line(module, present)
            missing.setdefault((line, stops), []).append(module)
            continue
        present[module] = version
        mine = sorted(set(owners.get(module, ())))
        named = ' and '.join(mine)
        found.facts.append(
            (module, version + (f' ({named})' if named != module else '')))
        minimum = versions.MINIMUMS.get(module)
        if minimum and len(mine) > 1:
            keep = next((d for d in mine if d.startswith('onedl-')), module)
            found.faults.append(
                Fault(
                    f'{named} are both installed, and each has written over '
                    f'the files of {module} that the other brought.',
                    _pip(f'pip uninstall -y {" ".join(mine)} && pip install '
                         f'{versions.OPS_FLAGS if module == "mmcv" else ""} '
                         f'"{keep}>={minimum}"'), stops))
        elif minimum and 'packaging' in present and versions.is_older(
                version, minimum):
            found.faults.append(
                Fault(
                    f'{module} {version} is installed, but {minimum} is the '
                    'oldest that serves.', _install_line(module, present),
                    stops))
    found.faults += [
        Fault(f'{sys.executable} has no {", ".join(names)}.', line, stops)
        for (line, stops), names in missing.items()
    ]
    return present


def _version_of(module: str, owners: Dict[str, List[str]]) -> Optional[str]:
    if module in versions.MINIMUMS:
        return versions.installed_version(module)
    if find_spec(module) is None:
        return None
    return (metadata.version(owners[module][0])
            if module in owners else 'of unknown version')


def project_faults(package: Path) -> List[Fault]:
    """Check that the installed mmmultissl is this one, with its configs.

    Args:
        package (Path): The folder ``mmmultissl`` that should be installed.

    Returns:
        list[Fault]: None or one.
    """
    root = package.parent
    is_checkout = (root / 'tools' / 'install.sh').is_file()
    line = _in_environment(
        _pip('pip install --no-deps --no-build-isolation ' +
             (f'-e {_shown(root)}' if is_checkout else
              '--force-reinstall mmmultissl')))
    try:
        distribution = metadata.distribution('mmmultissl')
    except metadata.PackageNotFoundError:
        return [Fault(f'{sys.executable} has no mmmultissl.', line)]
    installed = _installed_package(distribution)
    if installed != package:
        return [
            Fault(
                f'This is the mmmultissl of {package.parent}, but the '
                f'installed one is that of {installed.parent}.', line)
        ]
    configs = package / '.mim' / 'configs'
    if not configs.is_dir():
        return [
            Fault(
                f'There is no {configs}, so that configs cannot inherit '
                'from mmmultissl:: by name.', line)
        ]
    if is_checkout and configs.resolve() != root / 'configs':
        return [
            Fault(f'{configs} does not lead to {root / "configs"}.', line)
        ]
    return []


def _installed_package(distribution: metadata.Distribution) -> Path:
    """Find the folder of the installed package without importing it."""
    origin = json.loads(distribution.read_text('direct_url.json') or '{}')
    if origin.get('dir_info', {}).get('editable'):
        # file:///a%20b/c: pip writes it by Path.as_uri.
        from urllib.parse import urlparse
        from urllib.request import url2pathname
        root = url2pathname(urlparse(origin['url']).path)
        return Path(root).resolve() / 'mmmultissl'
    return Path(str(distribution.locate_file('mmmultissl'))).resolve()


def _project_words() -> str:
    root = checkout()
    return (f'{metadata_version("mmmultissl") or "not installed"}, ' +
            (f'checkout {root}' if root else f'package {PACKAGE}'))


def metadata_version(distribution: str) -> Optional[str]:
    """Get the version of a distribution.

    Args:
        distribution (str): Its name, such as ``'opencv-python'``.

    Returns:
        str | None: The version; None where it is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


# What runs


def _examine_imports(found: Examination, present: Dict[str, str],
                     owners: Dict[str, List[str]]) -> None:
    """Import what is there, and run an operator of mmcv."""
    results = _probe([*present], ops={'torch', 'mmcv'} <= set(present))
    seen = set()
    for module, result in results.items():
        error = result.get('error')
        # What fails inside mmcv fails again in all that imports it.
        if not error or module == 'ops' or error in seen:
            continue
        seen.add(error)
        stops = 'detection' if module in _FOR_DETECTION else 'all'
        found.faults.append(
            Fault(
                f'{module} {present[module]} cannot be imported '
                f'({_first_line(error)}).',
                _import_line(module, result, present, owners), stops))
    _examine_gpu(found, results.get('torch', {}), present)
    ops = results.get('ops')
    if ops is not None and not seen:
        _examine_ops(found, ops, results['torch']['value'])


def _probe(modules: List[str], ops: bool) -> Dict[str, dict]:
    """Import packages in a process of its own.

    Returns:
        dict[str, dict]: Import name -> ``value``, or ``error`` and the name
        of the ``missing`` module.
    """
    tools = next((folder for folder in (PACKAGE.parent / 'tools',
                                        PACKAGE / '.mim' / 'tools')
                  if (folder / 'check_install.py').is_file()), None)
    wanted = dict(
        path=sys.path,
        modules=modules,
        ops=str(tools / 'check_install.py') if ops and tools else None)
    # A file, not a pipe: what an import leaves running would keep a pipe open.
    with tempfile.TemporaryFile('w+') as out:
        process = subprocess.Popen(
            [sys.executable, import_probe.__file__,
             json.dumps(wanted)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            code = process.wait(_PROBE_SECONDS)
            end = f'it ended the process with status {code}'
        except subprocess.TimeoutExpired:
            end = f'it did not end within {_PROBE_SECONDS} s'
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        out.seek(0)
        text = out.read()
    results: Dict[str, dict] = {}
    for line in text.splitlines():
        if line.startswith(import_probe.MARK):
            name, outcome = json.loads(line[len(import_probe.MARK):])
            results[name] = outcome or dict(error=end)
    return results


def _examine_gpu(found: Examination, torch: dict,
                 present: Dict[str, str]) -> None:
    value = torch.get('value')
    if value is None:
        return
    if value['gpus']:
        cards = f'{len(value["gpus"])} x {value["gpus"][0]}'
        found.facts.append(('GPU', f'{cards}, CUDA {value["cuda"]}'))
        return
    cards = _cards()
    found.facts.append(('GPU', f'{cards} unused' if cards else 'none'))
    if cards and value['cuda'] is None:
        base = present['torch'].split('+')[0]
        found.faults.append(
            Fault(
                f'There is a GPU, but torch {present["torch"]} is built '
                'without CUDA.',
                _pip(f'pip install --force-reinstall "torch=={base}" '
                     'torchvision'), 'the GPU'))
    elif cards:
        found.notes.append(
            f'There is a GPU, but torch, built with CUDA {value["cuda"]}, '
            'does not see it: the driver may be too old (nvidia-smi names '
            'the newest CUDA it serves), or CUDA_VISIBLE_DEVICES hides it.')


def _cards() -> int:
    """Count the GPUs that NVIDIA's driver knows."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return 0
    done = subprocess.run([program, '-L'], capture_output=True, text=True)
    return sum(line.startswith('GPU ') for line in done.stdout.splitlines())


def _examine_ops(found: Examination, ops: dict, torch: dict) -> None:
    if 'value' in ops:
        found.facts.append(('ops of mmcv', f'run on {ops["value"]}'))
        if torch['gpus'] and ops['value'] == 'CPU':
            found.notes.append(
                'The GPU serves pretraining and VOC07, but not detection: '
                f'install the CUDA toolkit {torch["cuda"]} (nvcc), then '
                'mmcv anew.')
        return
    found.facts.append(('ops of mmcv', 'do not run'))
    if shutil.which(os.environ.get('CXX', 'c++')) is None:
        found.faults.append(
            Fault("There is no C++ compiler to build mmcv's ops with.",
                  'sudo apt-get install -y g++', 'detection'))
    if not Path(sysconfig.get_path('include'), 'Python.h').is_file():
        found.faults.append(
            Fault("There is no Python.h to build mmcv's ops with.",
                  'sudo apt-get install -y python{}.{}-dev'.format(
                      *sys.version_info[:2]), 'detection'))
    reason = _first_line(ops['error']).split('Error: ', 1)[-1]
    found.faults.append(
        Fault(
            f'The compiled ops of mmcv do not run ({reason}); only detection '
            'needs them.',
            _in_environment(_pip(versions.install_line('mmcv', ops=True))),
            'detection'))


# What mends it


def _import_line(module: str, result: dict, present: Dict[str, str],
                 owners: Dict[str, List[str]]) -> str:
    """Choose the line for a package that is there but cannot be imported."""
    for part, line in _LIBRARIES.items():
        if part in result['error']:
            return line
    missing = (result.get('missing') or '').split('.')[0]
    if missing == 'pkg_resources':
        return _pip('pip install "setuptools<82"')
    distribution = owners.get(module, [module])[0]
    if module == 'torchvision':
        base = present['torch'].split('+')[0]
        return _pip(f'pip install --upgrade "torch=={base}" torchvision')
    if missing and missing != module and 'packaging' in present:
        lacking = missing_requirements(distribution)
        if lacking:
            return _pip('pip install ' + ' '.join(
                shlex.quote(requirement) for requirement in lacking))
    if module == 'mmcv':
        return _pip(versions.install_line('mmcv', ops=True))
    return _pip('pip install --force-reinstall --no-deps '
                f'"{distribution}=={metadata_version(distribution)}"')


def missing_requirements(distribution: str) -> List[str]:
    """List what an installed distribution requires and is not there.

    Args:
        distribution (str): Its name.

    Returns:
        list[str]: Requirements as pip takes them; the packages that are
        there are asked for theirs too.
    """
    from packaging.requirements import Requirement
    lacking, known, waiting = [], set(), [distribution]
    while waiting:
        name = waiting.pop()
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            if need.name in known or (need.marker and
                                      not need.marker.evaluate(dict(extra=''))
                                      ):
                continue
            known.add(need.name)
            if metadata_version(need.name) is None:
                lacking.append(f'{need.name}{need.specifier}')
            else:
                waiting.append(need.name)
    return sorted(lacking)


def _install_line(module: str, present: Dict[str, str]) -> str:
    """Write the line for a package that is missing or too old."""
    if module in versions.MINIMUMS:
        return _in_environment(_pip(versions.install_line(module)))
    if module == 'torch':
        line = f'pip install {" ".join(_pins() or ["torch", "torchvision"])}'
    elif module == 'torchvision':
        base = present['torch'].split('+')[0] if 'torch' in present else None
        if base is None:  # it comes with torch
            return _install_line('torch', present)
        line = f'pip install "torch=={base}" torchvision'
    else:
        line = f'pip install {_OTHERS[module]}'
    return _in_environment(_pip(line))


def _pins() -> List[str]:
    """Read which torch and torchvision are pinned."""
    root = checkout()
    if root is None:
        return []
    text = (root / 'requirements' / 'mminstall.txt').read_text()
    return re.findall(r'^(?:torch|torchvision)==\S+', text, re.M)


def _in_environment(line: str) -> str:
    """Prefer the checkout's own environment over single packages.

    ``tools/install.sh`` mends what is missing or outdated in ``.venv``. A
    Python that is no environment at all is better left alone. In a user's own
    environment the given line stands.
    """
    root = checkout()
    if root is None:
        return line
    own = root / '.venv'
    install = _shown(root / 'tools' / 'install.sh')
    if Path(sys.prefix).resolve() == own.resolve():
        return install
    if sys.prefix != sys.base_prefix or Path(sys.prefix,
                                             'conda-meta').is_dir():
        return line
    activate = f'. {_shown(own / "bin" / "activate")}'
    if (own / 'bin' / 'activate').is_file():
        return activate
    return f'{install} && {activate}'


def _pip(line: str) -> str:
    """Let a line call the pip of this Python."""
    line = re.sub(' +', ' ', line)
    found = shutil.which('pip')
    if found and Path(found).parent == Path(sys.executable).parent:
        return line
    python = shlex.quote(sys.executable)
    return re.sub(r'\bpip (install|uninstall)', rf'{python} -m pip \1', line)


def _shown(path: Path) -> str:
    """Write a path for a shell, relative where it lies below the folder."""
    near = os.path.relpath(path)
    return shlex.quote(str(path) if near.startswith(os.pardir) else near)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip('.')


# What is said


def report(found: Examination) -> str:
    """Write all that was found.

    Args:
        found (Examination): See :func:`examine`.

    Returns:
        str: Lines of facts, then of faults and notes.
    """
    width = max(len(name) for name, _ in found.facts)
    lines = [f'{name:<{width}}  {value}' for name, value in found.facts]
    lines += ['', faults_in_words(found.faults)]
    lines += [f'Note: {note}' for note in found.notes]
    return '\n'.join(lines)


def faults_in_words(faults: List[Fault]) -> str:
    """Write the faults, each followed by its line; equal lines stand once.

    Args:
        faults (list[Fault]): What is wrong.

    Returns:
        str: Sentences and lines for the shell, the latter indented.
    """
    if not faults:
        return 'Nothing is wrong.'
    by_line: Dict[str, List[Fault]] = {}
    for fault in faults:
        by_line.setdefault(fault.line, []).append(fault)
    text = []
    for line, group in by_line.items():
        for fault in group:
            only = '' if fault.stops == 'all' else f' for {fault.stops}'
            text.append(f'Wrong{only}: {fault.sentence}')
        text.append(f'    {line}')
    return '\n'.join(text)


def verdict(error: ImportError) -> Optional[str]:
    """Say why an import failed.

    Args:
        error (ImportError): What was raised.

    Returns:
        str | None: Sentences and the lines that mend; None where nothing is
        wrong with what is installed, so that the error is the code's own.
    """
    # What is missing or outdated is known at once; the rest takes longer.
    faults = examine(probe=False).faults
    if not faults:
        print('An import failed; looking for the cause takes some ten '
              'seconds ...', file=sys.stderr, flush=True)
        faults = examine().faults
    if not faults:
        return None
    # The checks of versions.py name a line of their own.
    cause = _first_line(str(error)).split(': run `')[0]
    return f'{cause}.\n{faults_in_words(faults)}'


@contextmanager
def explained_imports() -> Iterator[None]:
    """Let an import that fails inside end in the verdict.

    Raises:
        Verdict: If something that is installed, or is not, is the cause.
    """
    try:
        yield
    except ImportError as error:
        text = verdict(error)
        if text is None:
            raise
        raise Verdict(text) from None
