# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo also gives the newly made pyramid a batch norm.
_base_ = './fine_tuning.py'

fpn = dict(
    backbone=_base_.tuned,
    neck=dict(
        in_channels=_base_.backbone.widths, norm_cfg=_base_.tuned.norm_cfg))
