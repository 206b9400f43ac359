# Copyright (c) mmmultissl contributors. All rights reserved.
# VOC07 SVM of a ResNet-18 on small images, features of 512:
#   python tools/test.py configs/voc07/svm_resnet18_128px.py CHECKPOINT
_base_ = 'svm_resnet50.py'

model = dict(backbone=dict(depth=_base_.small_backbone.depth))
test_cfg = dict(pool='avg')
test_dataloader = dict(dataset=dict(image_size=128))
