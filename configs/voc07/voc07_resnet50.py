# Copyright (c) mmmultissl contributors. All rights reserved.
# SVM, low-shot SVM, logistic regression and nearest neighbours of a ResNet-50
# at 224 px, features of 2x2 x 2048:
#   python tools/test.py configs/voc07/voc07_resnet50.py CHECKPOINT
# Another place of the data:
#   --cfg-options test_dataloader.dataset.data_root=VOCdevkit/VOC2007
_base_ = [
    '../_base_/backbone.py', '../_base_/datasets/voc07.py',
    '../_base_/default_runtime.py'
]

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=_base_.backbone.depth,
        num_stages=4,
        out_indices=(3, )))

# Draws the weights where CHECKPOINT is the word `random`.
randomness = dict(seed=0)
