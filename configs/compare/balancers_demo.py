# Copyright (c) mmmultissl contributors. All rights reserved.
# Which balancers mind the unit a task counts in: each as it is, and with MoCo
# v2's loss times 100. Generated images.
#   python tools/compare.py configs/compare/balancers_demo.py --jobs 2
# All settings are our choice.
_base_ = ['./images_demo.py', '../_base_/balancers/uncertainty.py']

title = "Balancers, and MoCo v2's loss times 100, demo"
note = ('Generated images, minutes of training: a row and the same one times '
        '100 are to be compared, not the balancers with each other.')
total_updates = 300
seeds = [0, 1, 2]
cfg_options = dict(custom_hooks=[])

alone = dict(moco={'model.tasks.densecl': None},
             densecl={'model.tasks.moco': None})
units = dict(plain={}, moco_x100={'model.loss_scales': dict(moco=100.)})
# Without DynamicTaskPrioritisation: these tasks log no accuracy.
rows = dict(
    _delete_=True,
    random=dict(train=False, checkpoint='random'),
    moco=dict(cfg_options=alone['moco']),
    densecl=dict(cfg_options=alone['densecl']),
    multitask=dict(),
    balanced=dict(
        sweep=dict(
            balancer=[
                'FixedWeights', 'DynamicWeightAverage', 'RandomLossWeights',
                'GeometricMean', 'GradNorm', 'PCGrad', 'MGDA', 'CAGrad',
                'GradVac', 'GradNormScale', 'IMTLG'
            ],
            options=units)),
    uncertainty=dict(
        cfg_options={
            'model.balancer': _base_.balancer,
            'optim_wrapper.paramwise_cfg': _base_.paramwise_cfg
        },
        sweep=dict(options=units)))
