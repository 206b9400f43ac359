# Copyright (c) mmmultissl contributors. All rights reserved.
# One new encoder from the frozen ones of the three binaural tasks, trained one
# by one, without a pretext task. Each needs its checkpoint, as
#   --cfg-options model.tasks.from_spatial.teacher.checkpoint=FILE
# Our choices, as for images: one view and a predictor for each teacher.
_base_ = '../binaural/multissl_binaural_omniaudio-w16_1xb32-coslr-50e_16khz.py'

student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=dict(type='mmmultissl.EuclideanDistance'),
    predictor=dict(in_channels=4 * _base_.model.backbone.base_channels),
    views=('clip', ))
model = dict(
    companions=dict(visual=None),
    tasks=dict(
        spatial=None,
        foreground=None,
        gap=None,
        from_spatial=student,
        from_foreground=dict(student, seed=1),
        from_gap=dict(student, seed=2)))
views = dict(dataset=dict(views=('clip', )))
train_dataloader = views
test_dataloader = views
