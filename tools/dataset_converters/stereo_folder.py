# Copyright (c) mmmultissl contributors. All rights reserved.
"""Convert any folder of videos or audio files with stereo sound.

    python tools/dataset_converters/stereo_folder.py IN OUT
"""
import argparse
import sys
from typing import Optional, Sequence

from mmmultissl.datasets.binaural.convert.arguments import (
    add_clip_arguments, add_foreground_argument, add_grouping_arguments,
    clip_settings, converted, grouping, make_parser)
from mmmultissl.datasets.binaural.convert.job import run
from mmmultissl.datasets.binaural.convert.media_folder import (classes_of,
                                                               find_files)
from mmmultissl.datasets.binaural.writer import BinauralWriter


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = make_parser('videos and audio files with stereo sound')
    add_clip_arguments(parser)
    add_foreground_argument(parser)
    add_grouping_arguments(parser)
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
        files = find_files(args.source, settings, grouping(args))
        with BinauralWriter(
                args.out,
                settings.sample_rate,
                classes=classes_of(args.source, grouping(args)),
                source=f'stereo files of {args.source.resolve().name}',
                **grouping(args).info(),
                **settings.info()) as writer:
            run(writer, files)

    return converted(convert)


if __name__ == '__main__':
    sys.exit(main())
