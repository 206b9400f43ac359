# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2 alone.
_base_ = './multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py'

model = dict(tasks=dict(densecl=None))
