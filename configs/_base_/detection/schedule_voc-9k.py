# Copyright (c) mmmultissl contributors. All rights reserved.
# 9,000 iterations of 16 images, for VOC2007 alone (our choice).
_base_ = './schedule_1x.py'

train_cfg = dict(max_iters=9000, val_interval=3000)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 100
param_scheduler[1].update(end=9000, milestones=[6000, 8000])
