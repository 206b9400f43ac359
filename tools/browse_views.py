#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""Show what the pipeline of a pretraining config feeds each task.

    python tools/browse_views.py CONFIG --out views.png

One row per sample: the image as it is stored, or the labels of a binaural
clip, then each view as the networks see it, under its name and the tasks that
read it. Of sound: left ear, right ear, and by how much they differ (orange:
left is louder, blue: right). They are the first samples of a run with the
config's seed.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import io
import os.path as osp
import sys
from pathlib import Path
from typing import Optional, Sequence

from mmmultissl.engine.atomic_save import write_bytes_atomically
from mmmultissl.utils.command_line import (add_common_arguments,
                                           apply_common_arguments, parse,
                                           read_config)
from mmmultissl.visualization.view_sheet import draw_sheet, make_views


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a path, or mmmultissl::FOLDER/NAME.py')
    parser.add_argument('-n', type=int, default=8, help='samples [8]')
    parser.add_argument(
        '--out', help='the picture, as png [<work dir>/views.png]')
    add_common_arguments(parser)
    return parse(parser, arguments)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Draw the picture.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    cfg = read_config(args.config)
    apply_common_arguments(cfg, args)
    out = Path(args.out or osp.join(cfg.work_dir, 'views.png'))
    if out.suffix.lower() != '.png':
        raise ValueError(f'--out is {out}: give a name that ends in .png.')
    views = make_views(cfg, args.n)
    for task in views.queries:
        keys = ', '.join(views.keys[task])
        print(f'{task} reads {", ".join(views.queries[task]) or "no view"} '
              'from the trained trunk' +
              (f' and {keys} from its EMA trunk' if keys else '') +
              (f' and {", ".join(views.companions[task])} from a companion'
               if views.companions[task] else ''))
    content = io.BytesIO()
    title = f'{osp.basename(args.config)}, seed {views.seed}'
    draw_sheet(views, title).save(content, 'png')
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(content.getvalue(), out)
    print(f'{args.n} samples with their views are in {out}')


if __name__ == '__main__':
    sys.exit(main())
