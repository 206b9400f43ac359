# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.datasets.transforms.color_jitter import ColorJitter
from mmmultissl.datasets.transforms.drop_instances_without_mask import \
    DropInstancesWithoutMask
from mmmultissl.datasets.transforms.gaussian_blur import GaussianBlur
from mmmultissl.datasets.transforms.load_image import (LoadImage,
                                                       UnreadableImageError)
from mmmultissl.datasets.transforms.multi_view import MultiView
from mmmultissl.datasets.transforms.pack_views import PackViews
from mmmultissl.datasets.transforms.random_flip import RandomFlip
from mmmultissl.datasets.transforms.random_grayscale import RandomGrayscale
from mmmultissl.datasets.transforms.random_resized_crop import \
    RandomResizedCrop

__all__ = [
    'ColorJitter', 'DropInstancesWithoutMask', 'GaussianBlur', 'LoadImage',
    'MultiView', 'PackViews', 'RandomFlip', 'RandomGrayscale',
    'RandomResizedCrop', 'UnreadableImageError'
]
