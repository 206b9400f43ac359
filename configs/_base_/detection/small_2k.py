# Copyright (c) mmmultissl contributors. All rights reserved.
# For one small machine (our choices): 2,000 iterations of 8 images, and what
# `small` changes of a detector for images of 160 to 320 px.
_base_ = './schedule_1x.py'

# mmdet's pyramid of 256 channels, and 1,024 units on 512 to 1,000 proposals of
# an image, would take most of the time on a CPU.
small_fpn = 128
small = dict(
    rpn_head=dict(
        in_channels=small_fpn,
        feat_channels=small_fpn,
        anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=small_fpn),
        bbox_head=dict(in_channels=small_fpn, fc_out_channels=256)),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=500), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=300)))

optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(max_iters=2000, val_interval=1000)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = 100
param_scheduler[1].update(end=2000, milestones=[1400, 1800])
