# Copyright (c) mmmultissl contributors. All rights reserved.
"""The labels of PASCAL VOC's classification task, from its own lists."""
import os
import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import numpy as np


@dataclass(frozen=True)
class VOCLists:
    """Labels of one split.

    Args:
        ids (list[str]): Names of the images without extension, sorted.
        labels (np.ndarray): int8, (images, classes): 1 present, -1 absent,
            0 *difficult* (only objects that are marked difficult).
        classes (tuple[str]): Names of the classes, sorted.
    """
    ids: List[str]
    labels: np.ndarray
    classes: Tuple[str, ...]


def check_voc_root(data_root: str) -> None:
    """Check that a folder is one year of VOC.

    Args:
        data_root (str): A folder like ``VOCdevkit/VOC2007``.

    Raises:
        FileNotFoundError: If ``ImageSets/Main`` or ``JPEGImages`` lack.
    """
    for folder in ('ImageSets/Main', 'JPEGImages'):
        if osp.isdir(osp.join(data_root, folder)):
            continue
        hint = ('set the data root to the folder of one year, such as '
                'VOCdevkit/VOC2007')
        for inner in ('VOC2007', 'VOCdevkit/VOC2007'):
            if osp.isdir(osp.join(data_root, inner, folder)):
                hint = f'did you mean "{osp.join(data_root, inner)}"?'
        raise FileNotFoundError(
            f'"{data_root}" has no folder "{folder}", so it is not a VOC '
            f'data set; {hint}')


def _class_names(folder: str, split: str) -> List[str]:
    suffix = f'_{split}.txt'
    return sorted(name[:-len(suffix)] for name in os.listdir(folder)
                  if name.endswith(suffix))


def _read_list(path: str) -> Dict[str, int]:
    labels = {}
    with open(path) as file:
        for number, line in enumerate(file, 1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != 2 or fields[1] not in ('1', '0', '-1'):
                raise ValueError(
                    f'Line {number} of {path} is {line.strip()!r}, but a '
                    'line of a class list is the name of an image and 1, 0 '
                    'or -1; give the original file of VOC.')
            labels[fields[0]] = int(fields[1])
    return labels


def read_voc_lists(data_root: str,
                   splits: Sequence[str] = ('trainval', 'test')
                   ) -> Dict[str, VOCLists]:
    """Read ``ImageSets/Main/<class>_<split>.txt`` of every class.

    Args:
        data_root (str): A folder like ``VOCdevkit/VOC2007``.
        splits (Sequence[str]): The splits. Defaults to
            ``('trainval', 'test')``.

    Returns:
        dict[str, VOCLists]: The labels of each split; classes are those of
        the first split's files, in alphabetical order, as in VOC.

    Raises:
        FileNotFoundError: If the folder is not VOC's or lists lack.
        ValueError: If a line is malformed, or classes list other images.
    """
    check_voc_root(data_root)
    folder = osp.join(data_root, 'ImageSets', 'Main')
    classes = _class_names(folder, splits[0])
    if not classes:
        raise FileNotFoundError(
            f'"{folder}" has no list "<class>_{splits[0]}.txt"; the SVM reads '
            'the labels from VOC\'s lists of every class, so unpack '
            'ImageSets too.')
    found = {}
    for split in splits:
        missing = set(classes).symmetric_difference(
            _class_names(folder, split))
        if missing:
            raise FileNotFoundError(
                f'"{folder}" has lists of the splits {", ".join(splits)} for '
                'other classes: not in all of them are '
                f'{", ".join(sorted(missing))}; restore the missing files.')
        columns = {
            name: _read_list(osp.join(folder, f'{name}_{split}.txt'))
            for name in classes
        }
        ids = sorted(columns[classes[0]])
        for name, column in columns.items():
            if sorted(column) != ids:
                raise ValueError(
                    f'{name}_{split}.txt lists other images than '
                    f'{classes[0]}_{split}.txt ({len(column)} and '
                    f'{len(ids)}) in "{folder}"; restore the original lists.')
        if not ids:
            raise ValueError(
                f'The lists of the split {split} in "{folder}" are empty; '
                'restore the original lists.')
        labels = np.array([[columns[name][i] for name in classes]
                           for i in ids],
                          dtype=np.int8)
        found[split] = VOCLists(ids, labels, tuple(classes))
    return found
