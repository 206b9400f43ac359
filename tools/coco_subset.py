# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write annotations of a share of COCO's training images: 1, 2, 5 and 10 %.

    python tools/coco_subset.py data/coco
    python tools/coco_subset.py data/coco --folds 1 2 3 4 5
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Dict, Optional, Sequence, Set

import numpy as np

from mmmultissl.engine.checkpoint import write_text_atomically


def draw_images(annotations: dict, percent: float, fold: int) -> Set[int]:
    """Draw a share of the images.

    Each fold is one order of all images, drawn by a generator that the fold
    seeds; a share is its beginning. So the shares of a fold are nested (our
    choice), none depends on which others are asked for, and the folds are
    independent. The number of images is rounded down, as mmdet's
    ``split_coco.py`` does; that draws with repetition and so keeps fewer.

    Args:
        annotations (dict): COCO annotations.
        percent (float): The share, in (0, 100].
        fold (int): Number of the draw, its seed.

    Returns:
        set[int]: The ids of the images.

    Raises:
        ValueError: If the share is no percentage or holds no image.
    """
    if not 0 < percent <= 100:
        raise ValueError(f'--percent {percent:g} is no share of the images: '
                         'give numbers above 0 and up to 100.')
    # The order of the file does not matter.
    ids = sorted(image['id'] for image in annotations['images'])
    # 1e-9: 10000 * 0.57 is 5699.999999999999.
    count = int(len(ids) * percent / 100 + 1e-9)
    if not count:
        raise ValueError(f'{percent:g} % of {len(ids)} images is not one '
                         'image: give a larger --percent.')
    order = np.random.default_rng(fold).permutation(len(ids))
    return {ids[index] for index in order[:count]}


def subset(annotations: dict, images: Set[int]) -> Dict[str, list]:
    """Keep the annotations of some images.

    Args:
        annotations (dict): COCO annotations.
        images (set[int]): The ids of the images, those without objects
            included.

    Returns:
        dict: COCO annotations; what is not of images, such as the
        categories, is kept.
    """
    return dict(
        annotations,
        images=[row for row in annotations['images'] if row['id'] in images],
        annotations=[
            row for row in annotations['annotations']
            if row['image_id'] in images
        ])


def read_annotations(path: Path) -> dict:
    """Read COCO annotations.

    Args:
        path (Path): The json.

    Returns:
        dict: The annotations.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no {path}: name the folder of COCO, which holds '
            'annotations/instances_train2017.json.')
    try:
        with open(path, encoding='utf-8') as file:
            annotations = json.load(file)
    except ValueError as error:
        raise ValueError(f'{path} is no json ({error}): it is cut off or '
                         'damaged; fetch it again.') from None
    if not isinstance(annotations, dict) or not {
            'images', 'annotations', 'categories'
    } <= set(annotations):
        raise ValueError(f'{path} has no images, annotations and categories: '
                         'give annotations in the format of COCO instances.')
    return annotations


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Write the files; see the module's text.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        int: The exit status.
    """
    parser = argparse.ArgumentParser(
        description='Write COCO annotations of shares of the training images '
        'to FOLDER/semi_anns/instances_train2017.FOLD@PERCENT.json, where '
        'the configs of configs/detection and mmdet\'s look for them.')
    parser.add_argument('folder', type=Path, help='the folder of COCO')
    parser.add_argument('--percent', type=float, nargs='+',
                        default=[1, 2, 5, 10],
                        help='shares of the images (default: 1 2 5 10)')
    parser.add_argument('--folds', type=int, nargs='+', default=[1],
                        help='numbers of independent draws (default: 1)')
    args = parser.parse_args(arguments)
    source = args.folder / 'annotations' / 'instances_train2017.json'
    start = time.monotonic()
    try:
        print(f'Reading {source}', flush=True)
        annotations = read_annotations(source)
        wanted = [(fold, percent) for fold in args.folds
                  for percent in args.percent]
        drawn = [draw_images(annotations, percent, fold)
                 for fold, percent in wanted]
        out = args.folder / 'semi_anns'
        out.mkdir(exist_ok=True)
        for done, ((fold, percent), images) in enumerate(
                zip(wanted, drawn), start=1):
            share = subset(annotations, images)
            name = f'instances_train2017.{fold}@{percent:g}.json'
            write_text_atomically(json.dumps(share), out / name)
            print(f'[{done}/{len(wanted)}] {out / name}: '
                  f'{len(images)} images, '
                  f'{len(share["annotations"])} objects, '
                  f'{time.monotonic() - start:.0f} s passed', flush=True)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
