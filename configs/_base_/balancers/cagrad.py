# Copyright (c) mmmultissl contributors. All rights reserved.
# Near the mean gradient, the one that helps the worst task most.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.CAGrad', c=0.5, rescale=1)
