# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/incremental at the size of the demo: a row of images_demo.py.
_base_ = '../../demo/multissl_densecl_r18_demo.py'

stage = dict(
    distill=dict(
        distance=dict(type='mmmultissl.EuclideanDistance'),
        predictor=dict(in_channels=_base_.width, hidden_channels=256)))
stages = dict(moco=stage, densecl=stage)
stage_order = ['moco', 'densecl']
total_updates = 600
