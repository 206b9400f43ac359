# Copyright (c) mmmultissl contributors. All rights reserved.
# Gradients brought to one length.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.GradNormScale', momentum=0.1)
