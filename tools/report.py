#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write one self-contained HTML page on a few runs.

    python tools/report.py FOLDER --data-root VOCdevkit/VOC2007 --size 128
    python tools/report.py --binaural FOLDER

FOLDER holds a folder for each run: ``pretrain/``, the work dir of its
pretraining; ``voc07.json``, its evaluation by tools/voc07.py; ``detect/``,
the work dir of a detector fine-tuned from it, if there is one. A run called
``random`` has no pretraining. What the folder of binaural runs holds is told
in docs/report.md; both may be given.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.visualization.report.binaural import (binaural_sections,
                                                      binaural_text,
                                                      find_binaural_runs)
from mmmultissl.visualization.report.runs import find_runs
from mmmultissl.visualization.report.table import results_text
from mmmultissl.visualization.report.write import image_sections, write_page


def parse_args(arguments=None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='One self-contained HTML page on a few runs.')
    parser.add_argument(
        'folder', type=Path, nargs='?', help='holds the runs on images')
    parser.add_argument(
        '--binaural',
        type=Path,
        metavar='FOLDER',
        help='holds a binaural pretraining and its downstream runs')
    parser.add_argument(
        '--data-root',
        help='folder of one year, such as '
        'VOCdevkit/VOC2007, whose test images are shown')
    parser.add_argument(
        '--size',
        type=int,
        help='sides of the images in '
        'pixels, as in the evaluation')
    parser.add_argument(
        '--runs',
        nargs='+',
        metavar='NAME',
        help='which runs, in this order '
        '[all, those of fewer tasks first]')
    parser.add_argument(
        '--out', type=Path, help='the page [report.html in the first folder]')
    parser.add_argument(
        '--text', type=Path, help='also write the table alone, as text')
    parser.add_argument('--title', default='What these runs learnt')
    parser.add_argument('--note', help='what the reader should know first')
    args = parser.parse_args(arguments)
    if args.folder is None and args.binaural is None:
        parser.error('give a folder of runs, --binaural FOLDER, or both')
    if args.folder is not None and None in (args.data_root, args.size):
        parser.error('runs on images need --data-root and --size')
    return args


def main(arguments=None) -> None:
    """Write the report.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    MMLogger.get_current_instance().setLevel('WARNING')
    sections, texts, style = [], [], ''
    if args.folder is not None:
        runs = find_runs(args.folder, args.runs)
        texts.append(results_text(runs))
        sections, style = image_sections(runs, args.data_root, args.size)
    if args.binaural is not None:
        binaural = find_binaural_runs(args.binaural)
        texts.append(binaural_text(binaural))
        sections += binaural_sections(binaural)
    out = args.out or (args.folder or args.binaural) / 'report.html'
    write_page(sections, style, out, args.title, args.note)
    text = '\n\n'.join(texts)
    if args.text is not None:
        write_text_atomically(f'{text}\n', args.text)
    print(f'{text}\nThe report is {out}')


if __name__ == '__main__':
    main()
