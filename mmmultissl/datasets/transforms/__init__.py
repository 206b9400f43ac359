# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.datasets.transforms.load_image import (LoadImage,
                                                       UnreadableImageError)

__all__ = ['LoadImage', 'UnreadableImageError']
