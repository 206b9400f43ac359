# Copyright (c) mmmultissl contributors. All rights reserved.
# The encoder of a progressive run, DenseCL's column reading MoCo v2's; all of
# it from one checkpoint, that of the last stage. MoCo v2's stays frozen.
_base_ = '../faster-rcnn_r18_fpn_2k_voc07-160px.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmmultissl.ProgressiveBackbone',
        backbone=dict(_base_.model.backbone, type='mmdet.ResNet'),
        columns=dict(moco=dict(), densecl=dict()),
        init_cfg=_base_.model.backbone.init_cfg))
