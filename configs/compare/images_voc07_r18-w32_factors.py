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
rate = 'stages.densecl.overrides.optim_wrapper.optimizer.lr'
rows = dict(
    _delete_=True,
    incremental=dict(
        config='configs/compare/rows/incremental_w32.py',
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
                # Both tasks in the second stage.
                both={**nothing, 'stages.densecl.tasks': ['moco', 'densecl']}))
    ))
