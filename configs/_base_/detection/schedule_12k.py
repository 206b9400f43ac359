# Copyright (c) mmmultissl contributors. All rights reserved.
# 12,000 iterations of 16 images: DetCo's short schedule (arXiv:2102.04803).
_base_ = './schedule_1x.py'

train_cfg = dict(max_iters=12000, val_interval=6000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=12000, milestones=[9000, 11000])
