# Copyright (c) mmmultissl contributors. All rights reserved.
# The SVM alone:
#   python tools/test.py configs/voc07/svm_resnet50.py CHECKPOINT
_base_ = 'voc07_resnet50.py'

test_cfg = dict(probes=('svm', ), out='voc07_svm.json')
