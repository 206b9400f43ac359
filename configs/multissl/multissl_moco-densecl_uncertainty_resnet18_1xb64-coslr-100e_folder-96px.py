# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = [
    './multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py',
    '../_base_/balancers/uncertainty.py'
]

model = dict(balancer=_base_.balancer)
optim_wrapper = dict(paramwise_cfg=_base_.paramwise_cfg)
