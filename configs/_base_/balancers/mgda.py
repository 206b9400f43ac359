# Copyright (c) mmmultissl contributors. All rights reserved.
# The shortest vector between the gradients.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.MGDA', normalise='none')
