# Copyright (c) mmmultissl contributors. All rights reserved.
# Azimuth of the loudest source, a linear probe.
_base_ = '../../_base_/downstream_binaural.py'

model = dict(head=dict(type='mmmultissl.AzimuthHead', in_channels=64))
# A linear layer on standardised features bears it.
optim_wrapper = dict(optimizer=dict(lr=3e-2))
# A clip that sounds from nowhere known teaches nothing.
labelled = dict(dataset=dict(needs=('azimuth', )))
train_dataloader = labelled
val_dataloader = labelled
test_dataloader = labelled
val_evaluator = dict(type='mmmultissl.AzimuthError')
test_evaluator = val_evaluator
