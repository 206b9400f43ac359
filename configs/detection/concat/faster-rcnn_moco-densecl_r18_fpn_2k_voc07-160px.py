# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2's and DenseCL's encoders side by side, both trained further.
_base_ = [
    '../faster-rcnn_r18_fpn_2k_voc07-160px.py',
    '../../_base_/columns/moco_densecl.py'
]

model = dict(
    type='mmmultissl.NeckFollowsBackbone',
    detector='mmdet.FasterRCNN',
    backbone=dict(
        backbone=dict(_base_.model.backbone, type='mmdet.ResNet'),
        frozen=False,
        **_base_.concat))
