# Copyright (c) mmmultissl contributors. All rights reserved.
"""A folder of images without labels."""
import os
import os.path as osp
from typing import Iterator, List, Optional, Sequence, Tuple, Union

from mmengine.dataset import BaseDataset

from mmmultissl.registry import DATASETS

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


def _find_images(folder: str) -> Iterator[str]:
    """Yield the images below a folder; links are followed, cycles are not."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = osp.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # Sorted here, so that of two links to one folder it is always the
        # same one that counts.
        folders[:] = sorted(f for f in folders if not f.startswith('.'))
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and name[0] != '.':
                yield osp.join(parent, name)


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Unlabelled images of one folder or several, all that pretraining needs.

    Without ``ann_file`` every jpg, jpeg, png, bmp, webp, tif or tiff file
    (upper or lower case) below the folder is a sample. With ``ann_file`` the
    samples are those it lists, one per line: a path relative to the image
    folder, or an id to which ``img_suffix`` is appended. The order is that of
    the sorted relative paths, or of the list, so it is the same on every
    machine. The path of sample ``i`` is ``img_path`` of ``get_data_info(i)``.

    Args:
        data_root (str | list[str]): The folder, or several.
        ann_file (str | list[str]): A list of images, absolute or relative to
            its ``data_root``; one per root where there are several roots,
            '' for a whole folder. Defaults to ''.
        data_prefix (str | dict | list): Where the images are, relative to
            ``data_root``; the dict form is ``dict(img_path=...)``, a list has
            one per root. Defaults to ''.
        img_suffix (str | list[str]): Appended to each line of ``ann_file``.
            Defaults to ''.
        **kwargs: ``pipeline``, ``indices``, ``lazy_init``, ``metainfo``,
            ``serialize_data``, ``test_mode`` … of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: If a folder, a list or a listed image is missing.
        ValueError: If nothing is found, or a list is malformed.

    Examples:
        >>> voc = dict(
        ...     type='mmmultissl.ImageFolder',
        ...     data_root='data/VOCdevkit/VOC2007',
        ...     ann_file='ImageSets/Main/trainval.txt',
        ...     data_prefix='JPEGImages',
        ...     img_suffix='.jpg')
    """

    def __init__(self,
                 data_root: Union[str, Sequence[str]],
                 ann_file: Union[str, Sequence[str]] = '',
                 data_prefix: Union[str, dict, Sequence] = '',
                 img_suffix: Union[str, Sequence[str]] = '',
                 **kwargs) -> None:
        roots = _as_list(data_root)
        if not roots or not all(roots):
            raise ValueError(
                f'ImageFolder got data_root={data_root!r}; set it to a folder '
                'of images or to a list of folders.')
        self._parts = list(
            zip(roots, _one_each('ann_file', ann_file, len(roots)),
                _one_each('data_prefix', data_prefix, len(roots)),
                _one_each('img_suffix', img_suffix, len(roots))))
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=dict(img_path=data_prefix),
            **kwargs)

    def _join_prefix(self) -> None:
        """Leave the paths: each root is joined to its own list and prefix."""

    def load_data_list(self) -> List[dict]:
        """Find the images.

        Returns:
            list[dict]: One ``dict(img_path=...)`` per image.
        """
        images = []
        for root, ann_file, prefix, suffix in self._parts:
            if not osp.isdir(root):
                raise FileNotFoundError(
                    f'The image folder {root} does not exist (data_root of '
                    'ImageFolder); set data_root to a folder of images.')
            prefix = _prefix_path(prefix)
            folder = osp.join(root, prefix) if prefix else root
            if not osp.isdir(folder):
                raise FileNotFoundError(
                    f'The image folder {folder} does not exist (data_root '
                    f'joined with data_prefix={prefix!r} of ImageFolder); '
                    'correct one of the two.')
            if ann_file:
                images += _listed(osp.join(root, ann_file), folder, suffix)
            else:
                images += _all_below(folder)
        return [dict(img_path=path) for path in images]


def _as_list(value: Union[str, Sequence]) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _one_each(name: str, value: Union[str, dict, Sequence],
              count: int) -> list:
    """Give every root its own value of an argument."""
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(
                f'ImageFolder got {len(value)} values of {name} for {count} '
                'folders in data_root; give one for each folder.')
        return list(value)
    if name == 'ann_file' and value and count > 1:
        raise ValueError(
            f'ImageFolder got one ann_file ({value}) for {count} folders in '
            "data_root; give a list with one for each folder, '' for a whole "
            'folder.')
    return [value] * count


def _prefix_path(prefix: Union[str, dict]) -> str:
    if isinstance(prefix, dict):
        unknown = set(prefix) - {'img_path', '_scope_'}
        if unknown:
            raise ValueError(
                f'ImageFolder does not know data_prefix keys '
                f'{sorted(unknown)}; write data_prefix=dict(img_path=...).')
        return prefix.get('img_path', '')
    return prefix


def _all_below(folder: str) -> List[str]:
    # Sorted by parts, with the separator out of the way, so that the order
    # does not depend on the operating system.
    found = sorted(
        _find_images(folder),
        key=lambda path: osp.relpath(path, folder).split(os.sep))
    if not found:
        raise ValueError(
            f'The folder {folder} holds no image ({", ".join(IMAGE_SUFFIXES)}'
            ', searched in its subfolders too); set data_root to a folder of '
            'images.')
    return found


def _read_list(ann_file: str) -> Iterator[Tuple[int, str]]:
    if not osp.isfile(ann_file):
        raise FileNotFoundError(
            f'The image list {ann_file} does not exist (ann_file of '
            "ImageFolder); correct its path, or set ann_file='' to use the "
            'whole folder.')
    try:
        with open(ann_file, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except UnicodeDecodeError:
        raise ValueError(
            f'The image list {ann_file} is not a text file in UTF-8; write '
            'one image id or relative path per line.') from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.strip()


def _listed(ann_file: str, folder: str, suffix: Optional[str]) -> List[str]:
    images = []
    for number, entry in _read_list(ann_file):
        path = osp.join(folder, entry + (suffix or ''))
        if not osp.isfile(path):
            hint = 'correct the line, data_prefix or img_suffix'
            if len(entry.split()) > 1:
                hint = ('write one image id or relative path per line, '
                        'without labels')
            raise FileNotFoundError(
                f'{ann_file}, line {number}: {entry!r} stands for {path}, '
                f'which does not exist; {hint}.')
        images.append(path)
    if not images:
        raise ValueError(
            f'The image list {ann_file} is empty; write one image id or '
            "relative path per line, or set ann_file='' to use the whole "
            'folder.')
    return images
