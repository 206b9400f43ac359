# Copyright (c) mmmultissl contributors. All rights reserved.
# 180,000 iterations of 16 images.
_base_ = './schedule_1x.py'

train_cfg = dict(max_iters=180000, val_interval=20000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=180000, milestones=[120000, 160000])
