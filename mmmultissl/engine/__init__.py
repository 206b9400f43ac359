# Copyright (c) mmmultissl contributors. All rights reserved.
from . import hooks, loops, optim, runner  # noqa: F401
from .checkpoint import install_safe_loading

# Every checkpoint of this process is read safely from here on.
install_safe_loading()
