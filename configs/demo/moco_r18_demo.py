# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2 alone.
_base_ = './multissl_densecl_r18_demo.py'

model = dict(tasks=dict(densecl=None))
