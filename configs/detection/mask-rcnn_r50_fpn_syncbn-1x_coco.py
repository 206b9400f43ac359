# Copyright (c) mmmultissl contributors. All rights reserved.
# Mask R-CNN R50-FPN, COCO, 12 epochs, from a self-supervised backbone.
_base_ = 'mmdet::selfsup_pretrain/mask-rcnn_r50-mocov2-pre_fpn_1x_coco.py'

runner_type = 'mmmultissl.StrictRunner'
checkpoint = None  # path of the pretraining run's checkpoint

data_root = '{{$COCO_ROOT:data/coco}}/'
ann_root = data_root + 'annotations/'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
val_evaluator = dict(ann_file=ann_root + 'instances_val2017.json')
test_evaluator = dict(ann_file=ann_root + 'instances_val2017.json')

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(
        frozen_stages=-1,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint=None,
            prefix='backbone.')),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(mask_head=dict(norm_cfg=norm_cfg)))
