# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2's and DenseCL's encoders side by side, both trained further.
_base_ = [
    '../mask-rcnn_r18_fpn_2k_coco-320px.py',
    '../../_base_/columns/moco_densecl.py'
]

model = dict(
    type='mmmultissl.NeckFollowsBackbone',
    detector='mmdet.MaskRCNN',
    backbone=dict(
        backbone=dict(_base_.model.backbone, type='mmdet.ResNet'),
        frozen=False,
        **_base_.concat))
