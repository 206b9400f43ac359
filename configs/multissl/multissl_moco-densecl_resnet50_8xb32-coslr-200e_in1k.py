# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = [
    '../_base_/models/moco-densecl_r50.py',
    '../_base_/datasets/imagenet_two_views.py',
    '../_base_/schedules/sgd_coslr_200e.py',
    '../_base_/default_runtime.py',
]
