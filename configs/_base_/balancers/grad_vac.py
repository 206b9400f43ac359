# Copyright (c) mmmultissl contributors. All rights reserved.
# Turns gradients towards the angles that they usually have.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(
    _delete_=True,
    type='mmmultissl.GradVac',
    momentum=0.01,
    seed=0)
