# Copyright (c) mmmultissl contributors. All rights reserved.
"""mmmultissl: several self-supervised tasks on one backbone, for OpenMMLab.

Importing it checks the versions of the OpenMMLab packages and makes
``_base_ = 'mmmultissl::...'`` known to mmengine. It does not import torch.
Where something is missing or too old, the error says what mends it.
"""
from mmmultissl.utils.doctor import explained_imports
from mmmultissl.utils.versions import require_core
from mmmultissl.version import __version__

with explained_imports():
    require_core()
    # mmengine inherits configs only from the packages of its own list. What
    # reads a config that inherits from us must therefore import us before.
    from mmengine.config.utils import MODULE2PACKAGE

MODULE2PACKAGE.setdefault('mmmultissl', 'mmmultissl')

__all__ = ['__version__']
