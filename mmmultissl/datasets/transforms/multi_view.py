# Copyright (c) mmmultissl contributors. All rights reserved.
"""Several views of one image, finished here or on the device."""
import copy
from typing import Iterator, List, Union

from mmcv.transforms import RandomApply
from mmpretrain.datasets.transforms import MultiView as _Base

from mmmultissl.datasets.transforms import drawn_view
from mmmultissl.datasets.transforms.color_jitter import ColorJitter
from mmmultissl.datasets.transforms.gaussian_blur import GaussianBlur
from mmmultissl.datasets.transforms.random_flip import RandomFlip
from mmmultissl.datasets.transforms.random_grayscale import RandomGrayscale
from mmmultissl.datasets.transforms.random_resized_crop import \
    RandomResizedCrop
from mmmultissl.registry import TRANSFORMS

# In the order in which the device applies them.
_DEFERRED = (ColorJitter, RandomGrayscale, GaussianBlur, RandomFlip)


@TRANSFORMS.register_module()
class MultiView(_Base):
    """mmpretrain's ``MultiView``, which may leave the colours to the device.

    With ``defer=True`` every view is cut out and resized here, while colour
    jitter, grayscale, blur and flip only draw their numbers, from the same
    generators in the same order as if they did their work. The rows of numbers
    (:mod:`drawn_view`) come in ``drawn``;
    :class:`mmmultissl.models.data_preprocessors.DeferredViews` finishes the
    views of a whole batch from them. So both ways give the same views of the
    same sample, to the last levels.

    Args:
        transforms (list[list[dict | callable]]): One pipeline per kind of
            view.
        num_views (int | list[int]): How many views each pipeline makes.
        defer (bool): Whether to leave the colours to the device.
            Defaults to False.

    Raises:
        ValueError: If a pipeline cannot be deferred.
    """

    def __init__(self,
                 transforms: List[list],
                 num_views: Union[int, List[int]],
                 defer: bool = False) -> None:
        super().__init__(transforms=transforms, num_views=num_views)
        self.defer = defer
        if defer:
            for pipeline in self.pipelines:
                _check_deferrable(pipeline)

    def transform(self, results: dict) -> dict:
        """Make the views.

        Args:
            results (dict): The sample, with ``img`` (H, W, 3).

        Returns:
            dict: The sample with a list of views in ``img`` and, where they
            are deferred, their rows in ``drawn``.
        """
        images, rows = [], []
        image = results.pop('img')
        for pipeline in self.transforms:
            view = copy.deepcopy(results)
            # A transform may write into its image, and so gets one of its
            # own; our crop does not, and makes a new one.
            steps = pipeline.transforms
            crops = steps and isinstance(steps[0], RandomResizedCrop)
            view['img'] = image if crops else image.copy()
            if self.defer:
                view['drawn'] = drawn_view.nothing_drawn()
                rows.append(view['drawn'])
            images.append(pipeline(view)['img'])
        results['img'] = images
        if self.defer:
            results['drawn'] = rows
        return results


def _flatten(pipeline) -> Iterator:
    for step in pipeline:
        if isinstance(step, RandomApply):
            yield from _flatten(step.transforms)
        else:
            yield step


def _check_deferrable(pipeline) -> None:
    """Refuse what would be done before work that is left to the device."""
    stage = -1
    for step in _flatten(pipeline):
        if isinstance(step, _DEFERRED) and step.can_defer:
            now = [isinstance(step, kind) for kind in _DEFERRED].index(True)
            if now <= stage:
                raise ValueError(
                    f'MultiView cannot defer {type(step).__name__} after '
                    f'{_DEFERRED[stage].__name__}: the device applies each '
                    'of ColorJitter, RandomGrayscale, GaussianBlur and '
                    'RandomFlip at most once and in this order; change the '
                    'order or set defer=False.')
            stage = now
        elif stage >= 0:
            raise ValueError(
                f'MultiView cannot defer {_DEFERRED[stage].__name__}, because '
                f'{type(step).__name__} comes after it and is done at once; '
                'put it before, or set defer=False.')
