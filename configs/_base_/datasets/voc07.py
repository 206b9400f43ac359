# Copyright (c) mmmultissl contributors. All rights reserved.
# VOC07 by the choices of mmselfsup: the short side to 256 (of 224), then both
# sides to 224. The labels come from ImageSets/Main.
# Statistics of ImageNet, for RGB in [0, 255].
data_preprocessor = dict(
    type='mmpretrain.ClsDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True)

# Every image of both splits once, not shuffled.
test_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmmultissl.VOC07Images',
        data_root='data/VOCdevkit/VOC2007',
        image_size=224))

# svm, low_shot, linear and knn take single choices, such as
# svm=dict(costs=(1., 10.)); preset='vissl' those of VISSL. See docs/voc07.md.
test_cfg = dict(type='mmmultissl.VOC07Loop', pool='grid')
# The loop itself evaluates.
test_evaluator = []
