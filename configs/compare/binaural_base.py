# Copyright (c) mmmultissl contributors. All rights reserved.
# The rows that combine the three binaural tasks. A child names the configs,
# the budget, the data and the evaluations.
_base_ = ['../_base_/monitor.py', '../_base_/binaural_figures.py']

seeds = [0, 1, 2]
reference = 'multitask'
baselines = ['spatial', 'foreground', 'gap']

# What the report draws of rows while they train, forgetting among it.
monitor = _base_.monitor
monitor.earlier_tasks = dict(interval=500)
cfg_options = dict(custom_hooks=[monitor])

tasks = ('spatial', 'foreground', 'gap')
distances = dict(
    euclidean=dict(type='mmmultissl.EuclideanDistance'),
    contrastive=dict(type='mmmultissl.ContrastiveDistance', temperature=0.2))
# Columns have a third of the budget each, teachers and their student a
# quarter. A third is the first stage of an order, trained once for both.
third, quarter = (dict(part=True, share=1 / parts) for parts in (3, 4))
rows = dict(
    random=dict(train=False, checkpoint='random'),
    **{task: dict() for task in tasks},
    **{
        f'{task}_third': dict(third, cfg_options=dict(stage_order=[task]))
        for task in tasks
    },
    **{f'{task}_quarter': quarter for task in tasks},
    concat=dict(concat=[f'{task}_third' for task in tasks]),
    multitask=dict(),
    # All six orders by one distance, one order by the other.
    incremental_euclidean=dict(sweep=dict(orders=True)),
    incremental_contrastive=dict(
        sweep=dict(orders=[tasks]),
        cfg_options={
            # Without a predictor pooled features lie too close together to be
            # told apart: docs/distillation.md. The weight was chosen by
            # binaural_w16_distances.py.
            f'stages.{task}.distill': dict(weight=.1, distance=dict(
                distances['contrastive'], centre=True, _delete_=True))
            for task in tasks
        }),
    # A third for each column: the second reads the first, the third both.
    foreground_second=dict(third, progressive=['spatial_third']),
    progressive=dict(progressive=['spatial_third', 'foreground_second']),
    **{
        f'amalgamation_{name}': dict(
            parts=[f'{task}_quarter' for task in tasks],
            cfg_options={
                key: value
                for task in tasks for key, value in {
                    f'model.tasks.from_{task}.teacher.checkpoint':
                    f'{{row:{task}_quarter}}',
                    f'model.tasks.from_{task}.teacher.sha256':
                    f'{{sha256:{task}_quarter}}',
                    f'model.tasks.from_{task}.distance': dict(
                        distance, _delete_=True)
                }.items()
            })
        for name, distance in distances.items()
    })
