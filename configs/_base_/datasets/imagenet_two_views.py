# Copyright (c) mmmultissl contributors. All rights reserved.
# mmpretrain's two MoCo v2 views of ImageNet, from a stream that can resume.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32_mocov2.py'

data_preprocessor = dict(non_blocking=True)
# The same draws and the same arithmetic as under mmpretrain's names, in a
# fraction of the time: docs/input.md.
view_pipeline = _base_.view_pipeline
view_pipeline[0].type = 'mmmultissl.RandomResizedCrop'
view_pipeline[1].transforms[0].type = 'mmmultissl.ColorJitter'
view_pipeline[2].type = 'mmmultissl.RandomGrayscale'
view_pipeline[3].type = 'mmmultissl.GaussianBlur'
view_pipeline[4].type = 'mmmultissl.RandomFlip'
train_pipeline = [
    dict(type='mmmultissl.LoadImage'),
    dict(
        type='mmmultissl.MultiView',
        num_views=2,
        transforms=[view_pipeline]),
    dict(type='mmmultissl.PackViews')
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='mmmultissl.PassSampler', shuffle=True),
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(pipeline=train_pipeline))
