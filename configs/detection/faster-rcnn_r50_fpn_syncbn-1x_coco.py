# Copyright (c) mmmultissl contributors. All rights reserved.
# Faster R-CNN R50-FPN, COCO, 12 epochs, from a self-supervised backbone:
# nothing frozen, batch norm trained and synchronised over GPUs.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

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
        norm_eval=False,
        norm_cfg=norm_cfg,
        init_cfg=dict(
            _delete_=True,
            type='Pretrained',
            checkpoint=None,
            prefix='backbone.')),
    neck=dict(norm_cfg=norm_cfg))
