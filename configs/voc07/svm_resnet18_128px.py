# Copyright (c) mmmultissl contributors. All rights reserved.
# The SVM of a ResNet-18 on small images:
#   python tools/test.py configs/voc07/svm_resnet18_128px.py CHECKPOINT
_base_ = 'voc07_resnet18_128px.py'

test_cfg = dict(probes=('svm', ), out='voc07_svm.json')
