# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2's and DenseCL's encoders side by side, both trained further.
_base_ = [
    '../mask-rcnn_r50_fpn_syncbn-12k_coco.py',
    '../../_base_/columns/moco_densecl.py'
]

model = dict(
    type='mmmultissl.NeckFollowsBackbone',
    detector='mmdet.MaskRCNN',
    backbone=dict(
        backbone=dict(_base_.model.backbone, type='mmdet.ResNet'),
        frozen=False,
        **_base_.concat))
