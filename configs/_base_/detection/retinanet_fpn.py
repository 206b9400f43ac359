# Copyright (c) mmmultissl contributors. All rights reserved.
# The head, whose weights all levels share, keeps mmdet's form without norm.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './fpn.py']

model = _base_.fpn
