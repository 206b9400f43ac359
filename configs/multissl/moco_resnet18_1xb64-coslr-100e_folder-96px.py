# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2 alone.
_base_ = './multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'

model = dict(tasks=dict(densecl=None))
