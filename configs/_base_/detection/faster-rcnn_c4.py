# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50-caffe-c4.py', './c4.py']

model = _base_.c4
