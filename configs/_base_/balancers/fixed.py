# Copyright (c) mmmultissl contributors. All rights reserved.
# A plain sum; weights=dict(moco=2.) weighs a task.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.FixedWeights', weights=dict())
