# Copyright (c) mmmultissl contributors. All rights reserved.
# What else incremental learning of sound depends on beside distance and
# weight (binaural_w16_distances.py): one order, one seed, each row with one
# thing changed, to be judged on the scenes of `val` alone.
#   python tools/compare.py configs/compare/binaural_w16_factors.py --jobs 2
# All settings are our choice.
_base_ = './binaural_w16_1500.py'

title = 'What incremental learning of three binaural tasks depends on'
seeds = [0]
reference = 'incremental_spatial-foreground-gap_contrastive'
baselines = []
tasks = ('spatial', 'foreground', 'gap')
contrastive = _base_.rows.incremental_contrastive.cfg_options
nothing = {f'stages.{task}.distill': None for task in tasks}
longer = {**contrastive, 'stage_order': tasks}
rate = 'overrides.optim_wrapper.optimizer.lr'
# Each stage trains the tasks of those before too, with their heads as they
# are; all views and the companion are those of multi-task.
cumulative = {
    key: value
    for number, task in enumerate(tasks)
    for key, value in {
        f'stages.{task}.tasks': tasks[:number + 1],
        f'stages.{task}.start': dict(
            tasks=tasks[:number], companions=('visual', ) * bool(number)),
        f'stages.{task}.overrides': None
    }.items()
}
stages = dict(
    config='configs/incremental/'
    'incremental_binaural_euclidean_omniaudio-w16_1xb32_16khz.py')
rows = dict(
    _delete_=True,
    # Length: as many seconds, and each task as often, as in multi-task.
    incremental_twice=dict(
        **stages,
        updates=2 * _base_.total_updates,
        beyond_budget='about as many seconds as multi-task',
        cfg_options=longer),
    incremental_thrice=dict(
        **stages,
        updates=3 * _base_.total_updates,
        beyond_budget='each task has as many updates as in multi-task',
        cfg_options=longer),
    incremental=dict(
        **stages,
        sweep=dict(
            orders=[tasks],
            options=dict(
                contrastive=contrastive,
                # Learning-rate restart.
                lower_rate={
                    **contrastive,
                    **{f'stages.{task}.{rate}': 3e-4
                       for task in tasks[1:]}
                },
                # Earlier tasks go on in place of distillation, and beside it.
                cumulative={**nothing, **cumulative},
                cumulative_contrastive={**contrastive, **cumulative}))))
evaluations = dict(retrieval=None, s3r=None, semantic=None)
