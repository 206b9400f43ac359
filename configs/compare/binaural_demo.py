# Copyright (c) mmmultissl contributors. All rights reserved.
# Minutes on two cores, on simulated scenes of synthesised sounds, to see that
# the whole chain works:
#   python tools/compare.py configs/compare/binaural_demo.py --jobs 2
# The figures say nothing about recordings. All settings are our choice.
_base_ = './binaural_base.py'

title = 'Combining three binaural tasks, demo'
note = ('Simulated scenes, minutes of training: the numbers show that the '
        'chain works. They say nothing about recordings.')
total_updates = 120
seeds = [0]
scenes = '{work_dir}/scenes'
prepare = dict(
    scenes=dict(
        command=[
            '{python}', 'tools/simulate_scenes.py', scenes, '--sources', '1',
            '1', '--off', '0.1', '0.4', '--seconds', '12', '--recordings',
            '48', '16', '16'
        ],
        output=scenes))

config = 'configs/demo/binaural_demo.py'

monitor = _base_.monitor
for kind in ('batch', 'gradients', 'rank', 'queues', 'keys', 'drift',
             'earlier_tasks'):
    monitor[kind].interval = 20
cfg_options = {
    f'{split}_dataloader.{key}': value
    for split in ('train', 'test')
    for key, value in (('dataset.data_root', scenes), ('num_workers', 0))
}
cfg_options['custom_hooks'] = [monitor]
only = dict(
    spatial={
        'model.tasks.foreground': None,
        'model.tasks.gap': None,
        'train_dataloader.dataset.views': ('clip', 'rotated', 'frame')
    },
    foreground={
        'model.tasks.spatial': None,
        'model.tasks.gap': None,
        'train_dataloader.dataset.views': ('clip', 'shifted', 'foreground')
    },
    gap={
        'model.tasks.spatial': None,
        'model.tasks.foreground': None,
        'model.companions.visual': None,
        'train_dataloader.dataset.views': ('clip', 'shifted')
    })
incremental = dict(config='configs/compare/rows/incremental_binaural_demo.py')
amalgamation = dict(
    config='configs/compare/rows/amalgamation_binaural_demo.py')
rows = dict(
    **{
        f'{task}{part}': dict(cfg_options=options)
        for task, options in only.items()
        for part in ('', '_quarter')
    },
    **{
        f'{task}_third': incremental
        for task in only
    },
    incremental_euclidean=incremental,
    incremental_contrastive=incremental,
    foreground_second=dict(cfg_options=only['foreground']),
    progressive=dict(cfg_options=only['gap']),
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)

root = 'dataloader.dataset.data_root'
judged = {f'{split}_{root}': scenes for split in ('train', 'val', 'test')}
evaluations = {
    task: dict(
        config=f'configs/demo/binaural_{task}_demo.py',
        cfg_options={
            **judged, 'train_cfg.max_epochs': 5,
            'val_dataloader.dataset.split': 'val'
        },
        usual=30)
    for task in ('azimuth', 'retrieval', 's3r', 'semantic')
}
