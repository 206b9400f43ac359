# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2's and DenseCL's encoders side by side; for the word `columns`:
#   python tools/test.py CONFIG columns \
#       --cfg-options model.backbone.columns.moco.checkpoint=FILE \
#       model.backbone.columns.densecl.checkpoint=FILE
_base_ = ['../voc07_resnet50.py', '../../_base_/columns/moco_densecl.py']

model = dict(
    backbone=dict(
        backbone=dict(_base_.model.backbone, type='mmpretrain.ResNet'),
        **_base_.concat))
