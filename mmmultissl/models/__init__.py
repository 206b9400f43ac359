# Copyright (c) mmmultissl contributors. All rights reserved.
"""Models: MultiSSL, its tasks, losses and balancers; downstream models."""
from .backbones import *  # noqa: F401,F403
from .balancers import *  # noqa: F401,F403
from .data_preprocessors import *  # noqa: F401,F403
from .detectors import *  # noqa: F401,F403
from .downstream import *  # noqa: F401,F403
from .heads import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .necks import *  # noqa: F401,F403
from .selfsup import *  # noqa: F401,F403
from .tasks import *  # noqa: F401,F403
