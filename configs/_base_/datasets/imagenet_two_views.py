# Copyright (c) mmmultissl contributors. All rights reserved.
# mmpretrain's two MoCo v2 views of ImageNet, from a stream that can resume.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32_mocov2.py'

data_preprocessor = dict(non_blocking=True)
train_pipeline = [
    dict(type='mmmultissl.LoadImage'),
    dict(
        type='MultiView', num_views=2, transforms=[{{_base_.view_pipeline}}]),
    dict(type='PackInputs')
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmmultissl.PassSampler', shuffle=True),
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(pipeline=train_pipeline))
