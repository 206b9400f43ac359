# Copyright (c) mmmultissl contributors. All rights reserved.
# COCO train2017 without its labels: the schedule of DenseCL's authors.
_base_ = './multissl_moco-densecl_resnet50_8xb32-coslr-200e_folder.py'

train_dataloader = dict(dataset=dict(data_root='data/coco/train2017'))
optim_wrapper = dict(optimizer=dict(lr=0.3))
train_cfg = dict(max_epochs=800)
