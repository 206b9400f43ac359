# Copyright (c) mmmultissl contributors. All rights reserved.
# A progressive network: the second stage draws an encoder of its own, which
# reads the first one's through adapters; that one stays as it is.
_base_ = './moco-densecl_sequential.py'

stages = dict(moco=dict(columns=True), densecl=dict(columns=True))
