# Copyright (c) mmmultissl contributors. All rights reserved.
# The same without a teacher: plain fine-tuning, one task after the other.
_base_ = './moco-densecl_euclidean.py'

stages = dict(moco=dict(distill=None), densecl=dict(distill=None))
