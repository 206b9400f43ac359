# Copyright (c) mmmultissl contributors. All rights reserved.
# What tools/quickstart.sh runs: minutes on two cores, on generated images.
_base_ = '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'

view_pipeline = _base_.view_pipeline
view_pipeline[0].scale = 64
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms = [view_pipeline]
train_dataloader = dict(
    dataset=dict(
        data_root='work_dirs/quickstart/data',
        data_prefix='JPEGImages',
        ann_file='ImageSets/Main/trainval.txt',
        img_suffix='.jpg',
        pipeline=train_pipeline))

model = dict(
    tasks=dict(
        moco=dict(queue_len=256),
        densecl=dict(queue_len=256, warmup_iters=20)))
train_cfg = dict(_delete_=True, type='mmmultissl.PretrainLoop', max_iters=120)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=40))
randomness = dict(seed=0)
