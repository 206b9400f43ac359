# Copyright (c) mmmultissl contributors. All rights reserved.
# DenseCL alone.
_base_ = './multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py'

model = dict(tasks=dict(moco=None))
