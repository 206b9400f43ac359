# Copyright (c) mmmultissl contributors. All rights reserved.
# ResNet-18 on 96-px crops of a folder of a few thousand small images: for
# one small machine. Our choices: queues below half the number of images, or
# most negatives would be stale copies of the same ones; an EMA ten times as
# fast and half the temperature, since a run has thousands of steps in place of
# a million; DenseCL's warm-up is a share of the run, of a stage in a run of
# stages. The learning rate is MoCo's 0.03 for a batch of 256, scaled; a
# run at eight times as much (and temperature 0.2) collapsed to one point.
_base_ = './multissl_moco-densecl_resnet50_8xb32-coslr-200e_folder.py'

view_pipeline = _base_.view_pipeline
view_pipeline[0].scale = 96
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms = [view_pipeline]
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(pipeline=train_pipeline))

width = _base_.small_backbone.widths[-1]
small = dict(
    neck=dict(in_channels=width, hid_channels=width),
    queue_len=1024,
    momentum=0.01,
    loss=dict(temperature=0.1))
model = dict(
    backbone=dict(depth=_base_.small_backbone.depth),
    recompute=[],
    tasks=dict(moco=small, densecl=dict(warmup_iters=0.02, **small)))

optim_wrapper = dict(optimizer=dict(lr=0.0075))
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(max_epochs=100)
default_hooks = dict(checkpoint=dict(interval=500))
