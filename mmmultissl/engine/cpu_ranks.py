# Copyright (c) mmmultissl contributors. All rights reserved.
"""Several processes on a machine without an accelerator, by gloo.

mmengine's launcher sets a CUDA device before it looks at the backend, and its
wrapper hands DDP a device index; both fail without a GPU.
"""
import os
from datetime import timedelta
from typing import Optional

import torch.distributed as dist
from mmengine.device import get_device


def on_cpu() -> bool:
    """Whether the run has no accelerator.

    Returns:
        bool: True if mmengine would place the model on the CPU.
    """
    return get_device() == 'cpu'


def start_gloo(launcher: str, dist_cfg: dict) -> None:
    """Start the process group that ``torchrun`` describes, over gloo.

    Args:
        launcher (str): The run's launcher; ``pytorch`` is the one that works
            here.
        dist_cfg (dict): The config's ``env_cfg.dist_cfg``: ``timeout`` in
            seconds is kept, the backend is gloo in any case.

    Raises:
        ValueError: For another launcher, or without torchrun's variables.
    """
    if dist.is_initialized():
        return
    lacking = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR',
                                 'MASTER_PORT') if name not in os.environ]
    if launcher != 'pytorch' or lacking:
        raise ValueError(
            'Without a GPU several processes are started by torchrun and '
            f"launcher='pytorch' only (launcher is {launcher!r}, variables "
            f'not set: {", ".join(lacking) or "none"}): use '
            'tools/dist_train.sh CONFIG PROCESSES.')
    options = {}
    if dist_cfg.get('timeout') is not None:
        options['timeout'] = timedelta(seconds=int(dist_cfg['timeout']))
    dist.init_process_group('gloo', **options)


def cpu_wrapper_cfg(given: Optional[dict],
                    find_unused_parameters: bool) -> dict:
    """Make the config of DDP on the CPU.

    Args:
        given (dict, optional): The config's ``model_wrapper_cfg``.
        find_unused_parameters (bool): The config's switch, used where
            ``given`` does not say.

    Returns:
        dict: ``given`` without device indices. Buffers are not broadcast:
        queues and EMA copies are kept equal by the model.
    """
    cfg = dict(given or {})
    cfg.setdefault('type', 'MMDistributedDataParallel')
    cfg.setdefault('broadcast_buffers', False)
    cfg.setdefault('find_unused_parameters', find_unused_parameters)
    cfg['device_ids'] = None
    return cfg
