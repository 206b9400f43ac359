# Copyright (c) mmmultissl contributors. All rights reserved.
# More weight for losses that fall slowly, from pass to pass; interval=500
# counts in iterations.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(
    _delete_=True,
    type='mmmultissl.DynamicWeightAverage',
    interval=None,
    temperature=2.)
