# Copyright (c) mmmultissl contributors. All rights reserved.
"""What is known of VOC's test images: their files, classes and main class."""
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import List, NamedTuple

from mmmultissl.evaluation.svm import read_voc_lists


class ShownImage(NamedTuple):
    """A test image.

    Attributes:
        path (str): Its file.
        classes (frozenset[str]): What is certainly in it.
        main (str): The class of its largest object.
    """
    path: str
    classes: frozenset
    main: str


def read_shown_images(data_root: str) -> List[ShownImage]:
    """Read the test list, in the order of ``VOC07Images``.

    Args:
        data_root (str): Folder of one year, such as ``VOCdevkit/VOC2007``.

    Returns:
        list[ShownImage]: The images.

    Raises:
        FileNotFoundError: If lists or annotations are missing.
    """
    root = Path(data_root)
    lists = read_voc_lists(data_root, ('test', ))['test']
    found = []
    for name, labels in zip(lists.ids, lists.labels):
        present = frozenset(lists.classes[index]
                            for index, label in enumerate(labels)
                            if label == 1)
        found.append(
            ShownImage(
                str(root / 'JPEGImages' / f'{name}.jpg'), present,
                _main_class(root / 'Annotations' / f'{name}.xml')))
    return found


def _main_class(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(
            f'{file} is missing, from which the largest object of an image '
            "is read: unpack VOC's Annotations beside JPEGImages.")
    areas = {}
    for thing in ElementTree.parse(file).iter('object'):
        left, top, right, bottom = (
            float(thing.findtext(f'bndbox/{side}'))
            for side in ('xmin', 'ymin', 'xmax', 'ymax'))
        areas[(right - left) * (bottom - top)] = thing.findtext('name')
    return areas[max(areas)] if areas else 'nothing'
