# Copyright (c) mmmultissl contributors. All rights reserved.
# The rows that combine two tasks on images. A child names the configs, the
# budget, the data and the evaluations.
_base_ = '../_base_/monitor.py'

seeds = [0, 1, 2]
reference = 'multitask'
baselines = ['moco', 'densecl']

# What the report draws of rows while they train, forgetting among it.
monitor = _base_.monitor
monitor.earlier_tasks = dict(interval=500)
cfg_options = dict(custom_hooks=[monitor])

# A row made of several trained encoders has the same budget in sum: two
# columns get half of it each, two teachers and their student a third each. A
# half is the first stage of an order, which is trained once for both.
alone_moco = {'model.tasks.densecl': None}
alone_densecl = {'model.tasks.moco': None}
teachers = {
    f'model.tasks.from_{task}.teacher.{key}': f'{{{kind}:{task}_third}}'
    for task in ('moco', 'densecl')
    for key, kind in (('checkpoint', 'row'), ('sha256', 'sha256'))
}
distances = dict(
    euclidean=dict(type='mmmultissl.EuclideanDistance'),
    contrastive=dict(type='mmmultissl.ContrastiveDistance', temperature=0.2))
# Without a predictor features are compared as they are, and pooled ones lie
# too close together to be told apart: docs/distillation.md.
kept_near = dict(
    distances, contrastive=dict(distances['contrastive'], centre=True))
# Of those above 0, the best ones of images_voc07_r18-w32_distances.py.
weights = dict(euclidean=1., contrastive=.1)
amalgamation = {
    name: dict(
        parts=['moco_third', 'densecl_third'],
        cfg_options={
            **teachers,
            'model.tasks.from_moco.distance': dict(distance, _delete_=True),
            'model.tasks.from_densecl.distance': dict(distance, _delete_=True)
        })
    for name, distance in distances.items()
}
rows = dict(
    random=dict(train=False, checkpoint='random'),
    moco=dict(cfg_options=alone_moco),
    densecl=dict(cfg_options=alone_densecl),
    moco_half=dict(
        cfg_options=dict(stage_order=['moco']), part=True, share=1 / 2),
    densecl_half=dict(
        cfg_options=dict(stage_order=['densecl']), part=True, share=1 / 2),
    moco_third=dict(cfg_options=alone_moco, part=True, share=1 / 3),
    densecl_third=dict(cfg_options=alone_densecl, part=True, share=1 / 3),
    concat=dict(concat=['moco_half', 'densecl_half']),
    multitask=dict(),
    incremental=dict(
        sweep=dict(
            orders=True,
            options={
                name: {
                    f'stages.{task}.distill.{key}': value
                    for task in ('moco', 'densecl')
                    for key, value in (('distance', dict(
                        distance, _delete_=True)), ('weight', weights[name]))
                }
                for name, distance in kept_near.items()
            })),
    amalgamation_euclidean=amalgamation['euclidean'],
    amalgamation_contrastive=amalgamation['contrastive'],
    progressive=dict(
        cfg_options=alone_densecl, progressive=['moco_half']))
