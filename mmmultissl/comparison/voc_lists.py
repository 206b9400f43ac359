# Copyright (c) mmmultissl contributors. All rights reserved.
"""Development lists of VOC: a part of trainval stands in for the test list."""
import os
import random
from pathlib import Path
from typing import Dict, List, Set
from xml.etree import ElementTree

from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.evaluation.svm import read_voc_lists

_LISTS = Path('ImageSets') / 'Main'


def dev_images(root: Path, share: float, seed: int) -> Set[str]:
    """Draw images of trainval by photographers.

    Pictures of one photographer, who often took several of one thing, stay
    together where the annotations name them (``owner/flickrid``).

    Args:
        root (Path): Folder of one year, such as ``VOCdevkit/VOC2007``.
        share (float): Of the images, between 0 and 1; the last photographer
            drawn may bring more.
        seed (int): Of the draw.

    Returns:
        set[str]: Names of the images.

    Raises:
        ValueError: If the share leaves one of the lists empty.
    """
    names = read_voc_lists(str(root), ('trainval', ))['trainval'].ids
    of: Dict[str, List[str]] = {}
    for name in names:
        of.setdefault(_photographer(root, name), []).append(name)
    groups = sorted(of)
    random.Random(seed).shuffle(groups)
    chosen: Set[str] = set()
    for group in groups:
        if len(chosen) >= share * len(names):
            break
        chosen.update(of[group])
    if not 0 < len(chosen) < len(names):
        raise ValueError(
            f'A share of {share:g} of the {len(names)} trainval images of '
            f'{root} leaves {len(chosen)} for development and '
            f'{len(names) - len(chosen)} for training: give one between 0 '
            'and 1.')
    return chosen


def _photographer(root: Path, name: str) -> str:
    file = root / 'Annotations' / f'{name}.xml'
    owner = ElementTree.parse(file).findtext(
        'owner/flickrid') if file.is_file() else None
    # One without a name is alone.
    return f'owner {owner}' if owner and owner != '?' else f'image {name}'


def write_dev_lists(root: str, out: Path, share: float, seed: int) -> Path:
    """Write a VOC folder whose test list is a part of another's trainval.

    Images and annotations are links; only lists are written. ``trainval``
    is what is left of the other's, ``test`` the part, of every class. Links
    and lists of another folder that were there before are replaced.

    Args:
        root (str): Folder of one year, such as ``VOCdevkit/VOC2007``.
        out (Path): A folder, which gets ``VOC2007/``.
        share (float): Of trainval, between 0 and 1.
        seed (int): Of the draw.

    Returns:
        Path: ``out/VOC2007``.
    """
    source, made = Path(root), out / 'VOC2007'
    chosen = dev_images(source, share, seed)
    (made / _LISTS).mkdir(parents=True, exist_ok=True)
    for folder in ('JPEGImages', 'Annotations'):
        link = made / folder
        target = os.path.relpath((source / folder).resolve(), made.resolve())
        there = (source / folder).is_dir()
        if link.is_symlink() and not (there and os.readlink(link) == target):
            link.unlink()
        if there and not link.is_symlink():
            link.symlink_to(target)
    written = set()
    for file in sorted((source / _LISTS).glob('*trainval.txt')):
        lines = file.read_text().splitlines()
        for split, wanted in (('trainval', False), ('test', True)):
            text = ''.join(
                f'{line}\n' for line in lines
                if line.split() and (line.split()[0] in chosen) == wanted)
            name = file.name.replace('trainval.txt', f'{split}.txt')
            write_text_atomically(text, made / _LISTS / name)
            written.add(name)
    for old in (made / _LISTS).glob('*.txt'):
        if old.name not in written:
            old.unlink()
    return made
