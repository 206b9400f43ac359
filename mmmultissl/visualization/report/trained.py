# Copyright (c) mmmultissl contributors. All rights reserved.
"""The model that a finished training run has left, ready to predict."""
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope

from mmmultissl.engine.checkpoint import (load_and_compare, load_checkpoint,
                                          require_fit, state_dict_of)

from .runs import WorkDir


def load_trained(work: WorkDir) -> BaseModel:
    """Build the model of a run and fill it from its last checkpoint.

    Args:
        work (WorkDir): Of the run.

    Returns:
        BaseModel: In evaluation mode, on the CPU.

    Raises:
        RuntimeError: If the checkpoint does not fit.
    """
    config = work.config
    init_default_scope(config.default_scope)
    model = dict(config.model)
    if 'data_preprocessor' in config:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    model = revert_sync_batchnorm(MODELS.build(model))
    state = state_dict_of(
        load_checkpoint(work.checkpoint), source=work.checkpoint)
    require_fit(
        load_and_compare(model, state),
        type(model).__name__, work.checkpoint,
        'Run the training again with the config that is there.', True)
    return model.eval()
