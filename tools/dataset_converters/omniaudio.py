# Copyright (c) mmmultissl contributors. All rights reserved.
"""Convert OmniAudio into a binaural folder.

    python tools/dataset_converters/omniaudio.py IN OUT

docs/converters.md describes its layout.
"""
import argparse
import sys
from typing import Optional, Sequence

from mmmultissl.datasets.binaural.convert import omniaudio
from mmmultissl.datasets.binaural.convert.arguments import (converted,
                                                            make_parser)
from mmmultissl.datasets.binaural.convert.job import run
from mmmultissl.datasets.binaural.writer import BinauralWriter


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    defaults = omniaudio.Settings()
    parser = make_parser('OmniAudio (the folder of scene0001 … scene0165)')
    parser.add_argument('--sample-rate', type=int,
                        default=defaults.sample_rate,
                        help='of the result, in Hz [%(default)s]')
    parser.add_argument('--frame-height', type=int, default=defaults.height,
                        help='larger frames are reduced to it, in pixels '
                        '[%(default)s]')
    parser.add_argument('--front', type=float, default=defaults.front,
                        help="where in the frames' width the rig's front is, "
                        'from 0 to 1; it is brought to the centre '
                        '[%(default)s]')
    parser.add_argument('--segmentation-ids', choices=('label', 'train'),
                        default=defaults.ids, help="which of Cityscapes' "
                        'numberings segment_splitframes/pred has '
                        '[%(default)s]')
    parser.add_argument('--foreground', choices=('difference', 'none'),
                        default=defaults.foreground, help='of scenes without '
                        'change masks: what differs from the median of their '
                        'frames [%(default)s]')
    parser.add_argument('--incomplete', choices=('keep', 'skip'),
                        default=defaults.incomplete, help='scenes whose '
                        'tracks do not make four pairs [%(default)s]')
    return parser.parse_args(arguments)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Convert; see the module's text.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        int: The exit status.
    """
    args = parse_args(arguments)

    def convert() -> None:
        settings = omniaudio.Settings(args.frame_height, args.front,
                                      args.segmentation_ids, args.sample_rate,
                                      args.foreground, args.incomplete)
        settings.check()
        scenes = omniaudio.find_scenes(args.source, settings)
        with BinauralWriter(
                args.out,
                settings.sample_rate,
                headings=tuple(omniaudio.PAIRS),
                panorama=True,
                classes=omniaudio.CLASSES,
                source='OmniAudio (Vasudevan, Dai, Van Gool, ECCV 2020)',
                **settings.info()) as writer:
            run(writer, scenes)

    return converted(convert)


if __name__ == '__main__':
    sys.exit(main())
