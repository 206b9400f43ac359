# Copyright (c) mmmultissl contributors. All rights reserved.
# The 1x schedule counted in iterations of 16 images.
_base_ = './mask-rcnn_r50_fpn_syncbn-1x_coco.py'

train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=90000,
    val_interval=10000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=90000,
        milestones=[60000, 80000],
        gamma=0.1)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=5000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
