# Copyright (c) mmmultissl contributors. All rights reserved.
# Mask R-CNN R18-FPN on COCO images of 320 px, for one small machine: 2,000
# iterations of 8 images, anchors of half the usual size.
_base_ = './mask-rcnn_r50_fpn_syncbn-90k_coco.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (640, 320)
# Reduced sets may have crowds without outlines.
train_pipeline.insert(1, dict(type='mmmultissl.DropInstancesWithoutMask'))
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (640, 320)
# Small validation sets often have boxes only, so boxes are what is measured.
test_pipeline[2].with_mask = False
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(metric='bbox')
test_evaluator = dict(metric='bbox')

model = dict(
    backbone=dict(depth=18),
    neck=dict(in_channels=[64, 128, 256, 512]),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    # mmdet's 1,024 units on 512 to 1,000 proposals of an image would take
    # most of the time on a CPU.
    roi_head=dict(bbox_head=dict(fc_out_channels=256)),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=500), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(max_per_img=300)))

optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=2000,
    val_interval=1000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=2000,
        milestones=[1400, 1800],
        gamma=0.1)
]
default_hooks = dict(checkpoint=dict(interval=500))
