# Copyright (c) mmmultissl contributors. All rights reserved.
"""Check that an installation works; ``tools/install.sh`` runs it.

It compares the installed packages with the pins in ``requirements/``, runs a
compiled operator of mmcv, and sees to it that the installed mmmultissl is
this checkout. With ``--ops`` it only runs the operator. What is wrong is said
in one sentence and ends in exit status 1.
"""
import argparse
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PIN = re.compile(r'^([A-Za-z0-9_.-]+)==(\S+)')


def check_pins(root: Path = ROOT) -> None:
    """Compare the pinned packages with the installed ones.

    Args:
        root (Path): The folder that holds ``requirements/``.
            Defaults to the checkout.

    Raises:
        RuntimeError: If a package is missing or has another version.
    """
    for file in ('mminstall', 'runtime', 'tests', 'build'):
        lines = (root / 'requirements' / f'{file}.txt').read_text()
        for line in lines.splitlines():
            pin = _PIN.match(line)
            name = pin[1] if pin else re.match(r'[A-Za-z0-9_.-]*', line)[0]
            if not name:
                continue
            try:
                version = metadata.version(name)
            except metadata.PackageNotFoundError:
                raise RuntimeError(f'{name} is not installed.') from None
            # Wheels of torch carry a local version, such as +cpu.
            if pin and version.split('+')[0] != pin[2]:
                raise RuntimeError(
                    f'{name} {version} is installed, {pin[2]} is pinned.')


def check_ops() -> str:
    """Run mmcv's non-maximum suppression, on the GPU too if it must.

    Returns:
        str: Where the operators run: ``'CPU'`` or ``'CPU and GPU'``.

    Raises:
        RuntimeError: If they do not load or do not compute what they should.
    """
    try:
        import torch
        from mmcv.ops import nms
    except ImportError as error:
        raise RuntimeError(
            f'the compiled ops of mmcv do not load: {error}.') from None
    boxes = torch.tensor([[0., 0., 10., 10.], [0., 0., 10., 9.],
                          [20., 20., 30., 30.]])
    scores = torch.tensor([.8, .9, .7])

    def kept_on(device: str) -> list:
        return nms(boxes.to(device), scores.to(device), .5)[1].tolist()

    devices = ['cpu']
    if mmcv_variant() != 'cpu':
        devices.append('cuda')
    for device in devices:
        try:
            kept = kept_on(device)
        except RuntimeError as error:
            first = str(error).splitlines()[0]
            raise RuntimeError(
                f'nms of mmcv fails on {device}: {first}') from None
        if kept != [1, 2]:
            raise RuntimeError(
                f'nms of mmcv keeps {kept} on {device}, not [1, 2].')
    return 'CPU' if devices == ['cpu'] else 'CPU and GPU'


def mmcv_variant() -> str:
    """Say which compiled ops this machine can have.

    Returns:
        str: ``'cpu'``, or such as ``'cu130-sm90'`` where there is a GPU as
        well as an nvcc of the CUDA release that torch was built with.
    """
    import torch
    if not torch.cuda.is_available():
        return 'cpu'
    from torch.utils.cpp_extension import CUDA_HOME
    nvcc = Path(CUDA_HOME or '', 'bin', 'nvcc')
    if not nvcc.is_file():
        return 'cpu'
    text = subprocess.run([nvcc, '--version'], capture_output=True, text=True)
    release = re.search(r'release (\d+)\.(\d+)', text.stdout)
    if release is None or release[1] != torch.version.cuda.split('.')[0]:
        return 'cpu'
    cards = range(torch.cuda.device_count())
    kinds = {torch.cuda.get_device_capability(card) for card in cards}
    arches = '-'.join(f'sm{major}{minor}' for major, minor in sorted(kinds))
    return f'cu{torch.version.cuda.replace(".", "")}-{arches}'


def check_project() -> None:
    """Check that the installed mmmultissl is this checkout, with ``.mim``.

    Raises:
        RuntimeError: If it is not.
    """
    from mmmultissl.utils.doctor import project_faults
    for fault in project_faults(ROOT / 'mmmultissl'):
        raise RuntimeError(fault.sentence)


def main() -> int:
    """Run the checks; see the module's text.

    Returns:
        int: The exit status.
    """
    parser = argparse.ArgumentParser(description='Check the installation.')
    parser.add_argument('--ops', action='store_true',
                        help='only run a compiled operator of mmcv')
    parser.add_argument('--mmcv-key', action='store_true',
                        help='print which wheel of mmcv belongs here')
    args = parser.parse_args()
    try:
        import torch
        if args.mmcv_key:
            print('cp{}{}-{}-torch{}-{}'.format(
                *sys.version_info[:2], sysconfig.get_platform(),
                torch.__version__.split('+')[0], mmcv_variant()))
            return 0
        where = check_ops()
        if not args.ops:
            check_pins()
            check_project()
            print('Python {}.{}.{}, torch {}, mmcv ops on {}'.format(
                *sys.version_info[:3], torch.__version__, where))
            if where == 'CPU' and torch.cuda.is_available():
                print('The GPU serves pretraining and VOC07, but not '
                      'detection: install the CUDA toolkit '
                      f'{torch.version.cuda} (nvcc) and run this again.')
    except (ImportError, RuntimeError) as error:
        print(error)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
