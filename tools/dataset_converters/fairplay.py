# Copyright (c) mmmultissl contributors. All rights reserved.
r"""Convert FAIR-Play into a binaural folder.

    python tools/dataset_converters/fairplay.py IN OUT \
        --splits IN/splits/split1
"""
import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from mmmultissl.datasets.binaural.convert.arguments import (add_clip_arguments,
                                                            clip_settings,
                                                            converted,
                                                            make_parser)
from mmmultissl.datasets.binaural.convert.fairplay import find_clips
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
    parser = make_parser('FAIR-Play')
    parser.add_argument('--splits', type=Path, help='folder with train.h5, '
                        'val.h5 and test.h5 [drawn by --shares]')
    add_clip_arguments(parser)
    # The camera moves, as the real clip shows: no background stands still.
    parser.set_defaults(foreground='none')
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
        settings = clip_settings(args)
        clips = find_clips(args.source, settings, args.splits)
        with BinauralWriter(
                args.out,
                settings.sample_rate,
                source='FAIR-Play (Gao, Grauman, CVPR 2019; CC BY 4.0)',
                **settings.info(),
                splits=args.splits.resolve().name
                if args.splits else 'drawn') as writer:
            run(writer, clips)

    return converted(convert)


if __name__ == '__main__':
    sys.exit(main())
