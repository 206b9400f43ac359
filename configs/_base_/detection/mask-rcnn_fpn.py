# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', './fpn.py']

model = dict(
    roi_head=dict(mask_head=dict(norm_cfg=_base_.tuned.norm_cfg)),
    **_base_.fpn)
