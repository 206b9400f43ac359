# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = ['mmdet::_base_/models/mask-rcnn_r50-caffe-c4.py', './c4.py']

model = _base_.c4
model.roi_head.mask_head = dict(in_channels=_base_.backbone.widths[3])
