# Copyright (c) mmmultissl contributors. All rights reserved.
# Which distance, and how much of it, for the three binaural tasks: one order,
# one seed, to be judged on the scenes of `val` alone.
#   python tools/compare.py configs/compare/binaural_w16_distances.py --jobs 2
# All settings are our choice.
_base_ = './binaural_w16_1500.py'

title = 'Weights and distances of the distillation, three binaural tasks'
seeds = [0]
reference = 'incremental_spatial-foreground-gap_euclidean_0'
baselines = []
distances = dict(
    euclidean=(dict(type='mmmultissl.EuclideanDistance'), (1., 10., 100.)),
    centred=(dict(type='mmmultissl.ContrastiveDistance', temperature=.2,
                  centre=True), (.1, 1., 10.)))
rows = dict(
    _delete_=True,
    random=dict(train=False, checkpoint='random'),
    incremental=dict(
        config='configs/incremental/'
        'incremental_binaural_euclidean_omniaudio-w16_1xb32_16khz.py',
        sweep=dict(
            orders=[['spatial', 'foreground', 'gap']],
            options={
                f'{name}_{weight:g}': {
                    f'stages.{task}.distill.{key}': value
                    for task in ('spatial', 'foreground', 'gap')
                    for key, value in (('distance', dict(distance,
                                                         _delete_=True)),
                                       ('weight', weight))
                }
                for name, (distance, weights) in distances.items()
                for weight in (0., *weights)
                if weight or name == 'euclidean'
            })))
# Beside azimuths the monitor's forgetting of each earlier task tells them
# apart.
evaluations = dict(retrieval=None, s3r=None, semantic=None)
