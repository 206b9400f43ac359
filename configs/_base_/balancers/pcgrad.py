# Copyright (c) mmmultissl contributors. All rights reserved.
# Removes from each gradient what points against another one.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.PCGrad', seed=0)
