# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './fpn.py']

model = _base_.fpn
