# Copyright (c) mmmultissl contributors. All rights reserved.
# Faster R-CNN R18-FPN on COCO images of 320 px, for one small machine.
_base_ = [
    '../_base_/detection/faster-rcnn_fpn.py',
    '../_base_/detection/coco_detection.py',
    '../_base_/detection/small_2k.py',
    '../_base_/detection/runtime.py',
]

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[2] = test_pipeline[1] = dict(
    type='mmdet.Resize', scale=(640, 320), keep_ratio=True)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    backbone=dict(depth=_base_.small_backbone.depth),
    neck=dict(
        in_channels=_base_.small_backbone.widths,
        out_channels=_base_.small_fpn),
    **_base_.small)

default_hooks = dict(checkpoint=dict(interval=500))
