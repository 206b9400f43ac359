# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the command lines of the converters share."""
import argparse
import math
import sys
from pathlib import Path
from typing import Callable

from mmmultissl.datasets.binaural.convert.assemble import ClipSettings
from mmmultissl.datasets.binaural.convert.media_folder import Grouping


def make_parser(what: str) -> argparse.ArgumentParser:
    """Make a parser that has the two folders.

    Args:
        what (str): What is converted, in words.

    Returns:
        argparse.ArgumentParser: With IN and OUT.
    """
    parser = argparse.ArgumentParser(
        description=f'Convert {what} into a binaural folder. What was '
        'interrupted is continued by the same command; what is skipped '
        'stands in OUT/skipped.csv.')
    parser.add_argument(
        'source', metavar='IN', type=Path, help='folder to convert')
    parser.add_argument(
        'out', metavar='OUT', type=Path, help='binaural folder to write')
    return parser


def add_clip_arguments(parser: argparse.ArgumentParser,
                       height: int = 240) -> None:
    """Add the settings of clips.

    Args:
        parser (argparse.ArgumentParser): Of the tool.
        height (int): Default height of frames, in pixels. Defaults to 240.
    """
    parser.add_argument(
        '--sample-rate',
        type=int,
        default=16000,
        help='of the result, in Hz [%(default)s]')
    parser.add_argument(
        '--clip-seconds',
        type=float,
        default=2.,
        help='length of the clips of the index '
        '[%(default)s]')
    parser.add_argument(
        '--hop-seconds',
        type=float,
        default=None,
        help='from one clip to the next [their length]')
    parser.add_argument(
        '--frame-height',
        type=int,
        default=height,
        help='larger frames are reduced to it, in pixels '
        '[%(default)s]')
    parser.add_argument(
        '--shares',
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar=('TRAIN', 'VAL', 'TEST'),
        help='of the source recordings, drawn by their names '
        '[0.8 0.1 0.1]')


def add_foreground_argument(parser: argparse.ArgumentParser) -> None:
    """Add the choice to mark what moves.

    Args:
        parser (argparse.ArgumentParser): Of the tool.
    """
    parser.add_argument(
        '--foreground',
        choices=('none', 'difference'),
        default='none',
        help='mark what differs from the '
        'median of the frames; the camera must stand still '
        '[%(default)s]')


def add_grouping_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what files mean.

    Args:
        parser (argparse.ArgumentParser): Of the tool.
    """
    parser.add_argument(
        '--source-pattern',
        metavar='REGEX',
        help='its first '
        'group, found in the path of a file, names the '
        'source recording, which stays in one split '
        '[every file is one]')
    parser.add_argument(
        '--split-folders',
        action='store_true',
        help='the folders train, val, test of IN are the '
        'splits')
    parser.add_argument(
        '--class-folders',
        action='store_true',
        help='the folder that a file lies in is its class')


def clip_settings(args: argparse.Namespace) -> ClipSettings:
    """Check the settings of clips.

    Args:
        args (argparse.Namespace): The parsed command line.

    Returns:
        ClipSettings: The settings.

    Raises:
        ValueError: If one makes no sense.
    """
    hop = args.clip_seconds if args.hop_seconds is None else args.hop_seconds
    for name, value in (('--sample-rate', args.sample_rate),
                        ('--clip-seconds', args.clip_seconds),
                        ('--hop-seconds', hop), ('--frame-height',
                                                 args.frame_height)):
        if not 0 < value < math.inf:
            raise ValueError(f'{name} is {value}; give a number above 0.')
    if not min(args.shares) >= 0 or not abs(sum(args.shares) - 1) <= 1e-6:
        raise ValueError(f'--shares are {" ".join(map(str, args.shares))}; '
                         'give three numbers from 0 on whose sum is 1.')
    return ClipSettings(args.sample_rate, args.clip_seconds, hop,
                        args.frame_height, args.foreground == 'difference',
                        tuple(args.shares))


def grouping(args: argparse.Namespace) -> Grouping:
    """Get what files mean.

    Args:
        args (argparse.Namespace): The parsed command line.

    Returns:
        Grouping: The settings.
    """
    return Grouping(args.source_pattern, args.split_folders,
                    args.class_folders)


def converted(convert: Callable[[], None]) -> int:
    """Run a converter; what the user can mend ends in one sentence.

    Args:
        convert (Callable): Does the work.

    Returns:
        int: The exit status.
    """
    try:
        convert()
    except (ValueError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            'Interrupted; the same command goes on where it was.',
            file=sys.stderr)
        return 130
    return 0
