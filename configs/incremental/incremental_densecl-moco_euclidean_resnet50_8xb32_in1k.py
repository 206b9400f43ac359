# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = './incremental_moco-densecl_euclidean_resnet50_8xb32_in1k.py'

stage_order = ['densecl', 'moco']
