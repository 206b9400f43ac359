# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/amalgamation for half the channels: a row of
# images_voc07_r18-w32.py, which names the teachers.
_base_ = './multissl_w32.py'

student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=dict(type='mmmultissl.EuclideanDistance'),
    predictor=dict(in_channels=_base_.width))
model = dict(
    tasks=dict(
        moco=None,
        densecl=None,
        from_moco=student,
        from_densecl=dict(student, seed=1)))
