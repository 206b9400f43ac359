# Copyright (c) mmmultissl contributors. All rights reserved.
# Learned weights. A child names this file in _base_, beside its parent, and
# sets model = dict(balancer=_base_.balancer) and
# optim_wrapper = dict(paramwise_cfg=_base_.paramwise_cfg).
balancer = dict(
    _delete_=True, type='mmmultissl.UncertaintyWeights', start=-0.5)

# Weight decay would pull every task towards the weight 1/2.
paramwise_cfg = dict(
    custom_keys={'balancer.log_variance': dict(decay_mult=0.)})
