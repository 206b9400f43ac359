# Copyright (c) mmmultissl contributors. All rights reserved.
# DenseCL alone.
_base_ = './multissl_densecl_r18_demo.py'

model = dict(tasks=dict(moco=None))
