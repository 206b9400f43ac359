# Copyright (c) mmmultissl contributors. All rights reserved.
# Learned weights under which the tasks train equally fast.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.GradNorm', alpha=1.5, lr=0.025)
