# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2 and DenseCL on one ResNet-50. A child leaves one out by setting it
# to None: model = dict(tasks=dict(densecl=None)).
_base_ = '../backbone.py'

model = dict(
    type='mmmultissl.MultiSSL',
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=_base_.backbone.depth,
        norm_cfg=dict(type='BN'),
        zero_init_residual=False),
    tasks=dict(
        moco=dict(
            type='mmmultissl.MoCoV2Task',
            neck=dict(
                type='mmpretrain.MoCoV2Neck',
                in_channels=_base_.backbone.widths[-1],
                hid_channels=_base_.backbone.widths[-1],
                out_channels=128,
                with_avg_pool=True),
            queue_len=65536,
            feat_dim=128,
            momentum=0.001,
            loss=dict(type='mmmultissl.InfoNCE', temperature=0.2)),
        densecl=dict(
            type='mmmultissl.DenseCLTask',
            neck=dict(
                type='mmpretrain.DenseCLNeck',
                in_channels=_base_.backbone.widths[-1],
                hid_channels=_base_.backbone.widths[-1],
                out_channels=128,
                num_grid=None),
            queue_len=65536,
            feat_dim=128,
            momentum=0.001,
            loss_lambda=0.5,
            warmup_iters=1000,
            loss=dict(type='mmmultissl.InfoNCE', temperature=0.2))),
    balancer=dict(type='mmmultissl.FixedWeights', weights=dict()),
    shuffle_bn=True,
    # Convolutions are faster so on CPUs and under AMP: benchmarks.md.
    channels_last=True,
    # A sixth less memory for a twentieth more time.
    recompute=['layer1'],
    compile=False)
