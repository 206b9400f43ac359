# Copyright (c) mmmultissl contributors. All rights reserved.
# On the encoders of three single tasks side by side.
_base_ = [
    '../esc10_omniaudio_16khz.py',
    '../../../_base_/columns/spatial_foreground_gap.py'
]

model = dict(
    backbone=dict(backbone=_base_.model.backbone, **_base_.concat),
    head=dict(in_channels=3 * 64))
