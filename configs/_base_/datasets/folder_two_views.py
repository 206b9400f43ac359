# Copyright (c) mmmultissl contributors. All rights reserved.
# The same two views of any folder of images, searched recursively.
_base_ = './imagenet_two_views.py'

data_root = 'data/images'
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmmultissl.ImageFolder',
        data_root=data_root,
        pipeline={{_base_.train_pipeline}}))
