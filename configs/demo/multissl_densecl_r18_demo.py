# Copyright (c) mmmultissl contributors. All rights reserved.
# What tools/quickstart.sh runs: minutes on two cores, on generated images.
# ResNet-18 with a quarter of the channels on 64-px crops. All settings are
# our choice, made on a set of another seed. Group norm in the trunk, since a
# single process has nobody to shuffle keys with (MoCo, arXiv:1911.05722,
# section 3.3), and a norm behind the projections, without which a short run
# learns to tell keys by their age: NormedMoCoV2Neck.
_base_ = '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'

view_pipeline = _base_.view_pipeline
view_pipeline[0].scale = 64
# In pixels: what 2.0 is to 224 pixels, 0.6 is to 64.
view_pipeline[3].magnitude_range = (0.1, 0.6)
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms = [view_pipeline]
train_dataloader = dict(
    dataset=dict(
        data_root='work_dirs/quickstart/data',
        data_prefix='JPEGImages',
        ann_file='ImageSets/Main/trainval.txt',
        img_suffix='.jpg',
        pipeline=train_pipeline))

width = _base_.small_backbone.widths[-1] // 4
projection = dict(in_channels=width, hid_channels=256)
small = dict(queue_len=256, momentum=0.02)
model = dict(
    backbone=dict(
        stem_channels=16,
        base_channels=16,
        norm_cfg=dict(type='GN', num_groups=8)),
    tasks=dict(
        moco=dict(
            neck=dict(type='mmmultissl.NormedMoCoV2Neck', **projection),
            **small),
        densecl=dict(
            neck=dict(type='mmmultissl.NormedDenseCLNeck', **projection),
            warmup_iters=0.05,
            **small)))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.001, weight_decay=1e-4))
train_cfg = dict(_delete_=True, type='mmmultissl.PretrainLoop', max_iters=600)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=100))
randomness = dict(seed=0)
