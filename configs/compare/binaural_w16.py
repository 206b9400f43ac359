# Copyright (c) mmmultissl contributors. All rights reserved.
# Simulated scenes of real sounds (ESC-10) around a measured head (KEMAR), on
# one small machine or one GPU.
#   python tools/compare.py configs/compare/binaural_w16.py --dry-run
# Settings are chosen on the scenes of `val`; ESC-10 is scored with the test
# scenes alone, since each of its folds is a test list. Encoders have heard
# ESC-10's sounds before, without their labels. All settings are our choice.
_base_ = './binaural_base.py'

title = 'Combining three binaural tasks, OmniAudio of width 16'
total_updates = 6000
scenes, esc10 = '{work_dir}/scenes', '{work_dir}/esc10'
prepare = dict(
    scenes=dict(
        command=[
            '{python}', 'tools/simulate_scenes.py', scenes, '--sounds',
            'data/ESC-10', '--heads',
            'data/binaural/hrtf/mit_kemar_normal_pinna.sofa', '--sources', '1',
            '1', '--off', '0.1', '0.4', '--recordings', '240', '40', '40'
        ],
        output=scenes,
        usual=240),
    esc10=dict(
        command=[
            '{python}', 'tools/dataset_converters/esc10.py', 'data/ESC-10',
            esc10
        ],
        output=esc10))

root = 'dataloader.dataset.data_root'
cfg_options = {f'train_{root}': scenes, f'test_{root}': scenes}
folder, kind = 'configs/binaural', 'omniaudio-w16_1xb32-coslr-50e_16khz.py'
config = f'{folder}/multissl_binaural_{kind}'
alone = dict(
    spatial=dict(config=f'{folder}/spatial-alignment_{kind}'),
    foreground=dict(config=f'{folder}/foreground-alignment_{kind}'),
    gap=dict(config=f'{folder}/temporal-gap_{kind}'))
incremental = dict(
    config='configs/incremental/'
    'incremental_binaural_euclidean_omniaudio-w16_1xb32_16khz.py')
amalgamation = dict(
    config=f'configs/amalgamation/amalgamation_binaural_euclidean_{kind}')
rows = dict(
    **{
        f'{task}{part}': config
        for task, config in alone.items()
        for part in ('', '_quarter')
    },
    **{f'{task}_third': incremental
       for task in alone},
    incremental_euclidean=incremental,
    incremental_contrastive=incremental,
    foreground_second=alone['foreground'],
    progressive=alone['gap'],
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)

judged = {f'{split}_{root}': scenes for split in ('train', 'val', 'test')}
# The scenes' classes are those of ESC-10.
classes = {
    f'{part}.num_classes': 10
    for part in ('model.head', 'val_evaluator', 'test_evaluator')
}
downstream = {
    task: dict(
        config=f'configs/binaural/downstream/{task}_omniaudio_16khz.py',
        cfg_options={
            **judged,
            **(classes if task == 'semantic' else {})
        },
        usual=400)
    for task in ('azimuth', 'retrieval', 's3r', 'semantic')
}
evaluations = dict(
    **downstream,
    esc10=dict(
        kind='binaural_svm',
        only='test',
        args=['--data-root', esc10],
        metrics={'ESC-10 accuracy, %': dict(key='accuracy')},
        usual=60))
