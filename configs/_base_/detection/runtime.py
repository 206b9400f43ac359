# Copyright (c) mmmultissl contributors. All rights reserved.
# mmdet's runtime, counted in iterations, with our strict runner.
_base_ = 'mmdet::_base_/default_runtime.py'

runner_type = 'mmmultissl.StrictRunner'
checkpoint = None  # path of the pretraining run's checkpoint
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
