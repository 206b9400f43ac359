# Copyright (c) mmmultissl contributors. All rights reserved.
# Batch norm over all processes in place of shuffle-BN. GPUs only.
_base_ = './multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py'

model = dict(
    backbone=dict(norm_cfg=dict(type='SyncBN')), shuffle_bn=False)
