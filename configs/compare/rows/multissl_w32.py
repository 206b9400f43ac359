# Copyright (c) mmmultissl contributors. All rights reserved.
# The small ResNet-18 with half the channels, on VOC2007 trainval and another
# folder: a row of images_voc07_r18-w32.py. A step of it takes a quarter of the
# time. All settings are our choice.
_base_ = ('../../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_'
          'voc07-96px.py')

width = _base_.small_backbone.widths[-1] // 2
small = dict(neck=dict(in_channels=width))
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    tasks=dict(moco=small, densecl=small))
