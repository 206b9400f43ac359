# Copyright (c) mmmultissl contributors. All rights reserved.
# The same of a ResNet-18 on small images, features of 512.
_base_ = 'voc07_resnet50.py'

model = dict(backbone=dict(depth=_base_.small_backbone.depth))
test_cfg = dict(pool='avg')
test_dataloader = dict(dataset=dict(image_size=128))
