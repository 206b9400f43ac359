# Copyright (c) mmmultissl contributors. All rights reserved.
# Faster R-CNN R50-FPN, VOC2007 trainval alone, 9,000 iterations of 16 images.
_base_ = 'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py'

runner_type = 'mmmultissl.StrictRunner'
checkpoint = None  # path of the pretraining run's checkpoint

data_root = '{{$VOC_ROOT:data/VOCdevkit}}/'
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        _delete_=True,
        type='mmdet.VOCDataset',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline={{_base_.train_pipeline}}))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

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

optim_wrapper = dict(optimizer=dict(lr=0.02))
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=9000,
    val_interval=3000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=9000,
        milestones=[6000, 8000],
        gamma=0.1)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=3))
log_processor = dict(by_epoch=False)
