# Copyright (c) mmmultissl contributors. All rights reserved.
"""How far the training is, for schedules inside the model."""
from typing import Tuple

from mmengine.logging import MessageHub


def training_progress() -> Tuple[int, int]:
    """Get the iteration that runs and their total number.

    mmengine's ``RuntimeInfoHook`` writes both into the message hub. Outside a
    runner they are 0 and 1.

    Returns:
        tuple[int, int]: Finished iterations and all iterations.
    """
    hub = MessageHub.get_current_instance()
    return int(hub.get_info('iter', 0)), int(hub.get_info('max_iters', 1))
