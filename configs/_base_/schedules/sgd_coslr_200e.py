# Copyright (c) mmmultissl contributors. All rights reserved.
# mmpretrain's SGD; the learning rate follows one cosine over all iterations,
# not one step per epoch, so that any budget is a single number.
_base_ = 'mmpretrain::_base_/schedules/imagenet_sgd_coslr_200e.py'

param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False)]
train_cfg = dict(
    _delete_=True, type='mmmultissl.PretrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=256)
