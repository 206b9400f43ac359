# Copyright (c) mmmultissl contributors. All rights reserved.
# mmpretrain's SGD; the learning rate follows one cosine over all iterations,
# not one step per epoch, so that any budget is a single number. `fused` makes
# the optimiser read and write each weight once.
_base_ = 'mmpretrain::_base_/schedules/imagenet_sgd_coslr_200e.py'

optim_wrapper = dict(optimizer=dict(fused=True))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False)]
train_cfg = dict(
    _delete_=True, type='mmmultissl.PretrainLoop', max_epochs=200)
auto_scale_lr = dict(base_batch_size=256)
