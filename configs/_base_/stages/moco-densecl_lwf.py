# Copyright (c) mmmultissl contributors. All rights reserved.
# The same, held near by what the old heads answer: learning without forgetting
# (arXiv:1606.09282). The heads are named by the tool.
_base_ = './moco-densecl_euclidean.py'

lwf = dict(type='mmmultissl.OldHeadDistillationTask', weight=1.)
stages = dict(
    moco=dict(distill=dict(_delete_=True, **lwf)),
    densecl=dict(distill=dict(_delete_=True, **lwf)))
