# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/amalgamation of ResNet-50 on ImageNet: a row of images_r50.py, which
# names the teachers.
_base_ = '../../multissl_densecl_r50.py'

student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=dict(type='mmmultissl.EuclideanDistance'),
    predictor=dict(in_channels=_base_.backbone.widths[-1]))
model = dict(
    tasks=dict(
        moco=None,
        densecl=None,
        from_moco=student,
        from_densecl=dict(student, seed=1)))
