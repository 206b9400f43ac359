# Copyright (c) mmmultissl contributors. All rights reserved.
# What two cores without a GPU do in an evening, a seed: a quarter of the
# updates, more scenes, three orders that begin with each task once, shorter
# downstream trainings.
#   python tools/compare.py configs/compare/binaural_w16_1500.py --jobs 2
# All settings are our choice.
_base_ = './binaural_w16.py'

title = 'Combining three binaural tasks, OmniAudio of width 16, 1,500 updates'
total_updates = 1500
prepare = dict(
    scenes=dict(
        command=[
            '{python}', 'tools/simulate_scenes.py', '{work_dir}/scenes',
            '--sounds', 'data/ESC-10', '--heads',
            'data/binaural/hrtf/mit_kemar_normal_pinna.sofa', '--sources', '1',
            '1', '--off', '0.1', '0.4', '--recordings', '1000', '60', '120'
        ],
        usual=900))
cfg_options = {'train_dataloader.num_workers': 1}
rows = dict(
    incremental_euclidean=dict(
        sweep=dict(
            orders=[['spatial', 'foreground', 'gap'],
                    ['foreground', 'gap', 'spatial'],
                    ['gap', 'spatial', 'foreground']])))


def short(updates, **more):
    return dict(
        cfg_options={
            'train_cfg.max_epochs': None,
            'train_cfg.max_iters': updates,
            'train_dataloader.num_workers': 1,
            **more
        })


evaluations = dict(
    azimuth=short(1000),
    retrieval=short(600),
    semantic=short(500),
    s3r=short(300))
