# Copyright (c) mmmultissl contributors. All rights reserved.
"""Simulate binaural recordings with panoramic frames and exact labels.

    python tools/simulate_scenes.py work_dirs/scenes
    python tools/simulate_scenes.py data/scenes --sounds data/ESC-10 \\
        --heads-train kemar.sofa --heads-test other.sofa \\
        --split-by source direction head

The first needs no file: synthesised sounds around a spherical head. A run
that was killed goes on when it is repeated. See docs/simulator.md.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import sys
from typing import Dict, List, Optional, Sequence

from mmmultissl.datasets.binaural.convert.arguments import converted
from mmmultissl.datasets.binaural.simulate.head import Head
from mmmultissl.datasets.binaural.simulate.scene import SceneSettings
from mmmultissl.datasets.binaural.simulate.simulate import (Simulator,
                                                            check_begun,
                                                            simulate)
from mmmultissl.datasets.binaural.simulate.sofa import read_sofa
from mmmultissl.datasets.binaural.simulate.sounds import sounds_of
from mmmultissl.datasets.binaural.simulate.spherical_head import spherical_head
from mmmultissl.datasets.binaural.simulate.splits import KEPT_APART, SPLITS
from mmmultissl.datasets.binaural.simulate.synthesised import SynthesisedSounds
from mmmultissl.datasets.binaural.writer import BinauralWriter
from mmmultissl.evaluation.svm.report import Progress

_DEFAULTS = SceneSettings()


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='the folder to write')
    parser.add_argument('--sounds', metavar='FOLDER',
                        help='mono sounds: FOLDER/CLASS/FILE, or the layout '
                        'of ESC-10 (default: synthesised ones)')
    parser.add_argument('--classes', nargs='+',
                        help='only these of the sounds')
    parser.add_argument('--heads', nargs='+', default=['sphere'],
                        metavar='HEAD', help='SOFA files, sphere, or '
                        'sphere:RADIUS in metres (default: sphere)')
    for split in SPLITS:
        parser.add_argument(f'--heads-{split}', nargs='+', metavar='HEAD',
                            help=f'those of {split}, in place of --heads')
    parser.add_argument('--mirror-back', action='store_true',
                        help='complete heads that were measured in front')
    parser.add_argument('--split-by', nargs='*', choices=KEPT_APART,
                        default=['source', 'direction'],
                        help='what must not cross splits (default: source '
                        'direction)')
    parser.add_argument('--recordings', type=int, nargs=3,
                        default=[60, 15, 15], metavar=('TRAIN', 'VAL', 'TEST'),
                        help='how many (default: 60 15 15)')
    parser.add_argument('--seed', type=int, default=0,
                        help='determines everything (default: 0)')
    _add(parser, 'sample_rate', int, 'in Hz')
    _add(parser, 'seconds', float, 'length of a recording')
    _add(parser, 'sources', int, 'fewest and most in a recording')
    _add(parser, 'moving', float, 'part of the recordings that turn')
    _add(parser, 'speed', float, 'degrees per second that they turn')
    _add(parser, 'on', float, 'shortest and longest sound, in seconds')
    _add(parser, 'off', float, 'shortest and longest silence, in seconds')
    _add(parser, 'levels', float, 'of the sources, in dB')
    _add(parser, 'noise', float, 'from all sides, in dB')
    _add(parser, 'frame_size', int, 'width and height, in pixels')
    _add(parser, 'every', float, 'seconds from clip to clip')
    parser.add_argument('--room', type=float, nargs=2,
                        metavar=('LOW', 'HIGH'), dest='reverberation',
                        help='in rooms of so many seconds of reverberation '
                        '(default: no room; needs pyroomacoustics)')
    return parser.parse_args(arguments)


def _add(parser: argparse.ArgumentParser, name: str, kind: type,
         words: str) -> None:
    default = getattr(_DEFAULTS, name)
    pair = isinstance(default, tuple)
    shown = ' '.join(f'{value:g}' for value in default) if pair else \
        f'{default:g}'
    parser.add_argument(f'--{name.replace("_", "-")}', type=kind,
                        default=default, nargs=2 if pair else None,
                        metavar=('LOW', 'HIGH') if pair else None,
                        help=f'{words} (default: {shown})')


def read_head(name: str, sample_rate: int, mirror_back: bool) -> Head:
    """Get a head by the name that the command line gives it.

    Args:
        name (str): A SOFA file, ``sphere`` or ``sphere:RADIUS``.
        sample_rate (int): Of a sphere, in Hz.
        mirror_back (bool): See :func:`read_sofa`.

    Returns:
        Head: The head.

    Raises:
        ValueError: If a radius is not one, or is no head's.
    """
    kind, _, radius = name.partition(':')
    if kind != 'sphere':
        return read_sofa(name, mirror_back)
    try:
        metres = float(radius or 0.0875)
    except ValueError as error:
        raise ValueError(f'The head {name} has no radius in metres: write, '
                         'for example, sphere:0.09.') from error
    return spherical_head(sample_rate, metres)


def make_simulator(args: argparse.Namespace) -> Simulator:
    """Put together what the command line asks for.

    Args:
        args (argparse.Namespace): Of :func:`parse_args`.

    Returns:
        Simulator: The simulator.

    Raises:
        ValueError: If something does not fit, in one sentence.
    """
    if min(args.recordings) < 0 or not any(args.recordings):
        raise ValueError('--recordings are three numbers from 0 on, not all '
                         f'0, but got {" ".join(map(str, args.recordings))}.')
    names = SceneSettings.__dataclass_fields__
    settings = SceneSettings(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in vars(args).items() if name in names
        })
    rate = settings.sample_rate
    sounds = (
        SynthesisedSounds(rate)
        if args.sounds is None else sounds_of(args.sounds, rate))
    if args.classes:
        strange = sorted(set(args.classes) - set(sounds.classes))
        if strange:
            raise ValueError(f'There is no class {strange[0]}: choose among '
                             f'{", ".join(sounds.classes)}.')
        twice = [name for name in args.classes
                 if args.classes.count(name) > 1]
        if twice:
            raise ValueError(f'The class {twice[0]} is given twice: name '
                             'each once.')
        sounds.classes = tuple(args.classes)
    wanted: Dict[str, List[str]] = {
        split: getattr(args, f'heads_{split}') or args.heads
        for split in SPLITS
    }
    read = {
        name: read_head(name, rate, args.mirror_back)
        for name in dict.fromkeys(sum(wanted.values(), []))
    }
    heads = {
        split: [read[name] for name in listed]
        for split, listed in wanted.items()
    }
    return Simulator(settings, sounds, heads, args.split_by, args.seed)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Write the folder; see the module's text.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        int: The exit status.
    """
    args = parse_args(arguments)

    def make() -> None:
        simulator = make_simulator(args)
        counts = dict(zip(SPLITS, args.recordings))
        information = simulator.information(Progress('Sound files', 1.))
        check_begun(args.out, information)
        progress = Progress('Recordings', sum(args.recordings))
        with BinauralWriter(
                args.out,
                args.sample_rate,
                headings=simulator.settings.headings,
                panorama=True,
                classes=simulator.sounds.classes,
                source='simulated scenes of ' +
                ('synthesised sounds'
                 if args.sounds is None else 'mono recordings'),
                **information) as writer:
            simulate(writer, simulator, counts, progress)

    return converted(make)


if __name__ == '__main__':
    sys.exit(main())
