#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write one self-contained HTML page on a few runs.

    python tools/report.py FOLDER --data-root VOCdevkit/VOC2007 --size 128

FOLDER holds a folder for each run: ``pretrain/``, the work dir of its
pretraining; ``voc07.json``, its evaluation by tools/voc07.py; ``detect/``,
the work dir of a detector fine-tuned from it, if there is one. A run called
``random`` has no pretraining.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
from pathlib import Path

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmengine.logging import MMLogger

from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.visualization.report.runs import find_runs
from mmmultissl.visualization.report.table import results_text
from mmmultissl.visualization.report.write import write_report


def parse_args(arguments=None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='One self-contained HTML page on a few runs.')
    parser.add_argument('folder', type=Path, help='holds the runs')
    parser.add_argument(
        '--data-root',
        required=True,
        help='folder of one year, such as '
        'VOCdevkit/VOC2007, whose test images are shown')
    parser.add_argument(
        '--size',
        type=int,
        required=True,
        help='sides of the images in '
        'pixels, as in the evaluation')
    parser.add_argument(
        '--runs',
        nargs='+',
        metavar='NAME',
        help='which runs, in this order '
        '[all, those of fewer tasks first]')
    parser.add_argument(
        '--out', type=Path, help='the page [FOLDER/report.html]')
    parser.add_argument(
        '--text', type=Path, help='also write the table alone, as text')
    parser.add_argument('--title', default='What these runs learnt')
    parser.add_argument('--note', help='what the reader should know first')
    return parser.parse_args(arguments)


def main(arguments=None) -> None:
    """Write the report.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    MMLogger.get_current_instance().setLevel('WARNING')
    runs = find_runs(args.folder, args.runs)
    out = args.out or args.folder / 'report.html'
    text = results_text(runs)
    write_report(runs, args.data_root, out, args.size, args.title, args.note)
    if args.text is not None:
        write_text_atomically(f'{text}\n', args.text)
    print(f'{text}\nThe report is {out}')


if __name__ == '__main__':
    main()
