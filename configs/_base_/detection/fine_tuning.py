# Copyright (c) mmmultissl contributors. All rights reserved.
# What a self-supervised backbone needs (MoCo, arXiv:1911.05722, section 4.2):
# no stage frozen, batch norm trained and synchronised over GPUs.
_base_ = '../backbone.py'

tuned = dict(
    depth=_base_.backbone.depth,
    frozen_stages=-1,
    norm_eval=False,
    norm_cfg=dict(type='SyncBN', requires_grad=True),
    init_cfg=dict(type='Pretrained', checkpoint=None, prefix='backbone.'))
