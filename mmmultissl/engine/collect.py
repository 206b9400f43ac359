# Copyright (c) mmmultissl contributors. All rights reserved.
import time
from typing import Any

import mmengine
from mmengine.model import is_model_wrapper
from mmengine.utils import get_git_hash


def collect_checkpoint(runner, meta: dict, with_optimizer: bool,
                       with_schedulers: bool) -> dict:
    """Collect what mmengine's Runner stores, under the same keys.

    Args:
        runner (Runner): The runner.
        meta (dict): ``epoch`` and ``iter``; the rest of the run's
            description is added.
        with_optimizer (bool): Whether to store the optimizer's state.
        with_schedulers (bool): Whether to store the schedulers' state.

    Returns:
        dict: ``meta``, ``state_dict``, ``message_hub``, and where wanted
        ``optimizer`` and ``param_schedulers``; not plain yet.
    """
    model = runner.model
    if is_model_wrapper(model):
        model = model.module
    checkpoint = dict(
        meta=dict(
            meta,
            cfg=runner.cfg.pretty_text,
            seed=runner.seed,
            experiment_name=runner.experiment_name,
            time=time.strftime('%Y%m%d_%H%M%S', time.localtime()),
            mmengine_version=mmengine.__version__ + get_git_hash()),
        state_dict=model.state_dict(),
        message_hub=runner.message_hub.state_dict())
    metainfo = getattr(runner.train_dataloader.dataset, 'metainfo', None)
    if metainfo is not None:
        checkpoint['meta']['dataset_meta'] = metainfo
    if with_optimizer:
        checkpoint['optimizer'] = runner.optim_wrapper.state_dict()
    if with_schedulers and runner.param_schedulers is not None:
        checkpoint['param_schedulers'] = _states(runner.param_schedulers)
    return checkpoint


def _states(schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: _states(group) for name, group in schedulers.items()}
    return [scheduler.state_dict() for scheduler in schedulers]
