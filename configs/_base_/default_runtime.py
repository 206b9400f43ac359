# Copyright (c) mmmultissl contributors. All rights reserved.
# mmpretrain's runtime, counted in iterations, with our strict runner.
_base_ = 'mmpretrain::_base_/default_runtime.py'

runner_type = 'mmmultissl.StrictRunner'
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(by_epoch=False, interval=5000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)

# Crops have one size, so cuDNN's search pays.
env_cfg = dict(cudnn_benchmark=True)

# Exact resume needs a seed. None draws one and keeps it in the checkpoint.
randomness = dict(seed=None)
