# Copyright (c) mmmultissl contributors. All rights reserved.
# One new ResNet-18 from the frozen encoders of a MoCo v2 and a DenseCL run,
# without a pretext task. Each needs its checkpoint:
#   --cfg-options model.tasks.from_moco.teacher.checkpoint=FILE \
#       model.tasks.from_densecl.teacher.checkpoint=FILE
# Our choices: one view, since only the student has a gradient; a predictor for
# each teacher, since no encoder can equal two.
_base_ = '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'

distance = dict(type='mmmultissl.EuclideanDistance')
student = dict(
    type='mmmultissl.FeatureDistillationTask',
    teacher=dict(backbone=_base_.model.backbone, checkpoint=None),
    distance=distance,
    predictor=dict(in_channels=_base_.width))
model = dict(
    tasks=dict(
        moco=None,
        densecl=None,
        from_moco=student,
        from_densecl=dict(student, seed=1)))
