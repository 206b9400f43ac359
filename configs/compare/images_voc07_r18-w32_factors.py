# Copyright (c) mmmultissl contributors. All rights reserved.
# What else incremental learning depends on beside distance and weight
# (images_voc07_r18-w32_distances.py): one order, one seed, each row with one
# thing changed, to be judged on the development lists alone.
#   python tools/compare.py configs/compare/images_voc07_r18-w32_factors.py --jobs 2
# All settings are our choice.
_base_ = './images_voc07_r18-w32.py'

title = 'What incremental learning depends on, half the channels'
seeds = [0]
reference = 'incremental_moco-densecl_sequential'
baselines = []
nothing = {'stages.densecl.distill': None}
learned = {'stages.densecl.distill.predictor': dict(in_channels=256)}
contrastive = {
    'stages.densecl.distill.distance':
    dict(type='mmmultissl.ContrastiveDistance', temperature=.2, _delete_=True)
}
both = {**nothing, 'stages.densecl.tasks': ['moco', 'densecl']}
rate = 'stages.densecl.overrides.optim_wrapper.optimizer.lr'
stages = dict(config='configs/compare/rows/incremental_w32.py')
twice = dict(
    updates=2 * _base_.total_updates,
    beyond_budget='two stages have as many updates each as multi-task')
rows = dict(
    _delete_=True,
    # Length: two stages as long as a row, and one task as long as both.
    moco_twice=dict(twice, cfg_options=_base_.alone_moco),
    incremental_twice=dict(
        twice, **stages, cfg_options=dict(stage_order=['moco', 'densecl'])),
    incremental=dict(
        **stages,
        sweep=dict(
            orders=[['moco', 'densecl']],
            options=dict(
                sequential=nothing,
                # The student has to contain what the teacher knew: CaSSLe.
                predictor_contrastive={**learned, **contrastive},
                predictor_euclidean=learned,
                # Layer: each cell in place of the mean.
                dense={'stages.densecl.distill.features': 'dense'},
                # Teacher.
                ema={'stages.densecl.teacher': 'last_ema', **learned,
                     **contrastive},
                # Learning-rate restart.
                lower_rate={**nothing, rate: .0025},
                # Stage lengths.
                short_first={**nothing, 'stages.moco.updates': 640},
                # Both tasks in the second stage, MoCo v2 with a new head and
                # queue or with its own.
                both=both,
                both_kept={**both, 'stages.densecl.start': dict(
                    momentum=True, tasks=['moco'])}))))
