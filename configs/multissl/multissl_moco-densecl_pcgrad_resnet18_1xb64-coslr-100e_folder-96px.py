# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = [
    './multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py',
    '../_base_/balancers/pcgrad.py'
]

model = dict(balancer=_base_.balancer)
