# Copyright (c) mmmultissl contributors. All rights reserved.
# Faster R-CNN R50-FPN, VOC2007 + VOC2012 trainval, 24,000 iterations of 16
# images: the data and length of MoCo's VOC fine-tuning.
_base_ = './faster-rcnn_r50_fpn_syncbn-9k_voc07.py'

voc07 = _base_.train_dataloader.dataset
voc12 = dict(
    type='mmdet.VOCDataset',
    data_root=_base_.data_root,
    ann_file='VOC2012/ImageSets/Main/trainval.txt',
    data_prefix=dict(sub_data_root='VOC2012/'),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline=_base_.train_pipeline)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdet.ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[voc07, voc12]))

train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=24000,
    val_interval=4000)
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=24000,
        milestones=[18000, 22000],
        gamma=0.1)
]
