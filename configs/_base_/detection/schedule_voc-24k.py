# Copyright (c) mmmultissl contributors. All rights reserved.
# 24,000 iterations of 16 images: MoCo's for VOC2007 + 2012.
_base_ = './schedule_1x.py'

train_cfg = dict(max_iters=24000, val_interval=4000)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 100
param_scheduler[1].update(end=24000, milestones=[18000, 22000])
