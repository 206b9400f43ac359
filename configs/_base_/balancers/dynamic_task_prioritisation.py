# Copyright (c) mmmultissl contributors. All rights reserved.
# More weight for tasks whose logged accuracy is low.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(
    _delete_=True,
    type='mmmultissl.DynamicTaskPrioritisation',
    kpi='accuracy',
    gamma=1.)
