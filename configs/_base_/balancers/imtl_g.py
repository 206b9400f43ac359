# Copyright (c) mmmultissl contributors. All rights reserved.
# Equal projections on all gradients.
# A child names this file in _base_, beside its parent, and sets
# model = dict(balancer=_base_.balancer).
balancer = dict(_delete_=True, type='mmmultissl.IMTLG')
