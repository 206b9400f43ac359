# Copyright (c) mmmultissl contributors. All rights reserved.
# VOC2007 trainval, short side 480 to 800 in training and 800 in testing, which
# is on VOC2007 test (MoCo).
_base_ = 'mmdet::_base_/datasets/voc0712.py'

data_root = '{{$VOC_ROOT:data/VOCdevkit}}/'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomChoiceResize',
    resize_type='mmdet.Resize',
    scales=[(1333, side) for side in range(480, 801, 32)],
    keep_ratio=True)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (1333, 800)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(
        _delete_=True,
        type='mmdet.VOCDataset',
        data_root=data_root,
        ann_file='VOC2007/ImageSets/Main/trainval.txt',
        data_prefix=dict(sub_data_root='VOC2007/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
