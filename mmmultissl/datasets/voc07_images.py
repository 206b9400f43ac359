# Copyright (c) mmmultissl contributors. All rights reserved.
"""The images of VOC's classification task, trainval and test in one set."""
import os.path as osp
from typing import Dict, List, Optional, Sequence

from mmengine.dataset import BaseDataset

from mmmultissl.evaluation.svm import VOCLists, read_voc_lists
from mmmultissl.registry import DATASETS


def voc07_pipeline(image_size: int, resize_backend: str = 'cv2') -> List[dict]:
    """The protocol's image transforms, for any size.

    mmselfsup and VISSL take the short side to 256 pixels, then both sides to
    224, which warps the image; other sizes keep the ratio of the two numbers
    (our choice).

    Args:
        image_size (int): Sides of the result in pixels.
        resize_backend (str): ``'cv2'`` as in mmselfsup or ``'pillow'``, which
            averages more pixels where it reduces, as in VISSL; bilinear
            either way. Defaults to ``'cv2'``.

    Returns:
        list[dict]: Transforms.
    """
    return [
        dict(type='mmmultissl.LoadImage'),
        dict(
            type='mmpretrain.ResizeEdge',
            scale=round(image_size * 256 / 224),
            edge='short',
            backend=resize_backend),
        dict(
            type='mmpretrain.Resize',
            scale=(image_size, image_size),
            backend=resize_backend),
        dict(
            type='mmpretrain.PackInputs', meta_keys=('sample_idx',
                                                     'img_path')),
    ]


@DATASETS.register_module()
class VOC07Images(BaseDataset):
    """All images that VOC's per-class lists name, split after split.

    mmpretrain's ``VOC`` reads labels from the XML files, where it makes a
    *difficult* object an absent one; the SVM protocol needs the lists, and
    one pass over both splits. Samples hold no labels: they are in ``lists``.

    Args:
        data_root (str): Folder of one year, such as ``VOCdevkit/VOC2007``.
        splits (Sequence[str]): The training split and the test split.
            Defaults to ``('trainval', 'test')``.
        image_size (int): Sides of the images in pixels, for
            :func:`voc07_pipeline`. Defaults to 224.
        resize_backend (str): What resizes, for :func:`voc07_pipeline`.
            Defaults to ``'cv2'``.
        pipeline (Sequence[dict], optional): Other transforms; they must pack
            ``sample_idx`` and ``img_path``. Defaults to None, those of the
            protocol.
        lazy_init (bool): Whether to read the lists later. Defaults to False.

    Raises:
        FileNotFoundError: If the folder is not VOC's or images lack.
    """

    def __init__(self,
                 data_root: str,
                 splits: Sequence[str] = ('trainval', 'test'),
                 image_size: int = 224,
                 resize_backend: str = 'cv2',
                 pipeline: Optional[Sequence[dict]] = None,
                 lazy_init: bool = False) -> None:
        self.splits = tuple(splits)
        self.lists: Dict[str, VOCLists] = {}
        if pipeline is None:
            pipeline = voc07_pipeline(image_size, resize_backend)
        super().__init__(
            data_root=data_root,
            pipeline=list(pipeline),
            test_mode=True,
            lazy_init=lazy_init)

    def load_data_list(self) -> List[dict]:
        """Name the images: those of the first split, then of the next.

        Returns:
            list[dict]: One ``dict(img_path=...)`` per image.
        """
        self.lists = read_voc_lists(self.data_root, self.splits)
        self._metainfo = dict(classes=self.lists[self.splits[0]].classes)
        folder = osp.join(self.data_root, 'JPEGImages')
        paths = [
            osp.join(folder, f'{name}.jpg') for split in self.splits
            for name in self.lists[split].ids
        ]
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(paths)} images that the lists of '
                f'"{self.data_root}" name are missing, the first is '
                f'"{missing[0]}"; unpack VOC\'s JPEGImages of both splits.')
        return [dict(img_path=path) for path in paths]
