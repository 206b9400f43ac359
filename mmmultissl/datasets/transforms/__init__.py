# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.datasets.transforms.drop_instances_without_mask import \
    DropInstancesWithoutMask
from mmmultissl.datasets.transforms.load_image import (LoadImage,
                                                       UnreadableImageError)

__all__ = ['DropInstancesWithoutMask', 'LoadImage', 'UnreadableImageError']
