# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/amalgamation at the size of the demo: a row of binaural_demo.py,
# which names the teachers.
_base_ = '../../demo/binaural_demo.py'

student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=dict(type='mmmultissl.EuclideanDistance'),
    predictor=dict(
        in_channels=4 * _base_.model.backbone.base_channels,
        hidden_channels=256),
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
