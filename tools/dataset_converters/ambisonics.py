# Copyright (c) mmmultissl contributors. All rights reserved.
"""Convert first-order ambisonics into binaural pairs of four headings.

    python tools/dataset_converters/ambisonics.py IN OUT --convention ambix

Videos with four channels of sound are taken for panoramas.
"""
import argparse
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np

from mmmultissl.datasets.binaural.convert.ambisonic_decode import (
    CONVENTIONS, LoudspeakerRing, cardioid_pair, check_first_order, decode,
    to_ambix)
from mmmultissl.datasets.binaural.convert.arguments import (
    add_clip_arguments, add_foreground_argument, add_grouping_arguments,
    clip_settings, converted, grouping, make_parser)
from mmmultissl.datasets.binaural.convert.job import run
from mmmultissl.datasets.binaural.convert.media_folder import (Channels,
                                                               classes_of,
                                                               find_files)
from mmmultissl.datasets.binaural.simulate.digest import digest_of
from mmmultissl.datasets.binaural.writer import BinauralWriter

# Each step turns the head by 90 degrees to the left.
HEADINGS = (0., 90., 180., -90.)


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = make_parser('first-order ambisonics')
    parser.add_argument('--convention', choices=CONVENTIONS, required=True,
                        help='ambix: W Y Z X in SN3D; fuma: W X Y Z with W '
                        'at -3 dB')
    parser.add_argument('--head', default='none', metavar='SOFA',
                        help='a SOFA file with a measured head, sphere for a '
                        'computed one, none for two cardioids without a head '
                        '[%(default)s]')
    parser.add_argument('--mirror-back', action='store_true',
                        help="complete the head's back from its front")
    parser.add_argument('--loudspeakers', type=int, default=8,
                        help='around the head [%(default)s]')
    add_clip_arguments(parser, height=320)
    add_foreground_argument(parser)
    add_grouping_arguments(parser)
    return parser.parse_args(arguments)


def make_pair(args: argparse.Namespace
              ) -> Callable[[np.ndarray], np.ndarray]:
    """Make what listens to a field.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        Callable: From AmbiX channels to left and right.
    """
    if args.head == 'none':
        return cardioid_pair
    if args.head == 'sphere':
        from mmmultissl.datasets.binaural.simulate.spherical_head import \
            spherical_head
        head = spherical_head(args.sample_rate)
    else:
        from mmmultissl.datasets.binaural.simulate.sofa import read_sofa
        head = read_sofa(args.head, args.mirror_back)
    return LoudspeakerRing(
        head.resampled(args.sample_rate), args.loudspeakers)


def head_info(args: argparse.Namespace) -> Dict[str, Any]:
    """Tell a measured head from others of the same name.

    Args:
        args (argparse.Namespace): The arguments.

    Returns:
        dict: Of a SOFA file the digest of its content, and whether its back
        is mirrored; nothing of others.
    """
    if args.head in ('none', 'sphere'):
        return {}
    info = dict(head_digest=digest_of(Path(args.head)))
    if args.mirror_back:
        info['mirror_back'] = True
    return info


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Convert; see the module's text.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        int: The exit status.
    """
    args = parse_args(arguments)

    def convert() -> None:
        settings = clip_settings(args)
        pair = make_pair(args)

        def to_pairs(samples: np.ndarray) -> np.ndarray:
            return decode(to_ambix(samples, args.convention), HEADINGS, pair)

        files = find_files(args.source, settings, grouping(args),
                           Channels(check_first_order, to_pairs, HEADINGS))
        with BinauralWriter(
                args.out,
                settings.sample_rate,
                headings=HEADINGS,
                panorama=True,
                classes=classes_of(args.source, grouping(args)),
                source=f'first-order ambisonics of '
                f'{args.source.resolve().name}',
                **settings.info(),
                **grouping(args).info(),
                **head_info(args),
                convention=args.convention,
                head=Path(args.head).name,
                loudspeakers=None if args.head == 'none' else
                args.loudspeakers) as writer:
            run(writer, files)

    return converted(convert)


if __name__ == '__main__':
    sys.exit(main())
