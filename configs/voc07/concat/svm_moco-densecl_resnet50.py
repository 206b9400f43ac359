# Copyright (c) mmmultissl contributors. All rights reserved.
# The SVM alone.
_base_ = './voc07_moco-densecl_resnet50.py'

test_cfg = dict(probes=('svm', ), out='voc07_svm.json')
