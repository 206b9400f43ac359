# Copyright (c) mmmultissl contributors. All rights reserved.
# How much of each distance: incremental learning in one order, one seed, to
# be judged on the development lists alone.
#   python tools/compare.py configs/compare/images_voc07_r18-w32_distances.py --jobs 2
# All settings are our choice.
_base_ = './images_voc07_r18-w32.py'

title = 'Weights and distances of the distillation, half the channels'
seeds = [0]
reference = 'incremental_moco-densecl_euclidean_0'
baselines = []
distances = dict(
    euclidean=(dict(type='mmmultissl.EuclideanDistance'), (1., 10., 100.)),
    centred=(dict(type='mmmultissl.ContrastiveDistance', temperature=.2,
                  centre=True), (.1, 1., 10.)))
rows = dict(
    _delete_=True,
    random=dict(train=False, checkpoint='random'),
    incremental=dict(
        config='configs/compare/rows/incremental_w32.py',
        sweep=dict(
            orders=[['moco', 'densecl']],
            options={
                f'{name}_{weight:g}': {
                    'stages.densecl.distill.distance':
                    dict(distance, _delete_=True),
                    'stages.densecl.distill.weight': weight
                }
                for name, (distance, weights) in distances.items()
                for weight in (0., *weights)
                if weight or name == 'euclidean'
            })))
