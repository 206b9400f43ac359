# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/amalgamation at the size of the demo: a row of images_demo.py, which
# names the teachers.
_base_ = '../../demo/multissl_densecl_r18_demo.py'

student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=dict(type='mmmultissl.EuclideanDistance'),
    predictor=dict(in_channels=_base_.width, hidden_channels=256))
model = dict(
    tasks=dict(
        moco=None,
        densecl=None,
        from_moco=student,
        from_densecl=dict(student, seed=1)))
