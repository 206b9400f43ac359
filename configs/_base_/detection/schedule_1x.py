# Copyright (c) mmmultissl contributors. All rights reserved.
# 90,000 iterations of 16 images: mmdet's optimiser, detectron2's steps.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=90000,
    val_interval=10000)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.001,
        by_epoch=False,
        begin=0,
        end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=90000,
        milestones=[60000, 80000],
        gamma=0.1)
]
