# Copyright (c) mmmultissl contributors. All rights reserved.
# What two cores without a GPU do in an evening: half the channels, bfloat16,
# 39 passes over 3,132 images, no detection.
#   python tools/compare.py configs/compare/images_voc07_r18-w32.py --jobs 2
# All settings are our choice.
_base_ = './images_voc07_r18.py'

title = 'Combining MoCo v2 and DenseCL, ResNet-18 with half the channels'
total_updates = 1920
cfg_options = {
    'train_dataloader.num_workers': 1,
    'optim_wrapper.type': 'mmmultissl.Bf16OptimWrapper'
}
config = 'configs/compare/rows/multissl_w32.py'
amalgamation = dict(config='configs/compare/rows/amalgamation_w32.py')
incremental = dict(config='configs/compare/rows/incremental_w32.py')
rows = dict(
    moco_half=incremental,
    densecl_half=incremental,
    incremental=incremental,
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)
evaluations = dict(
    voc07=dict(args=[
        '--data-root', '{lists:voc}', '--probes', 'svm', 'knn', '--size',
        '128', '--neighbours', '20', '--num-workers', '0'
    ]),
    detection=None)
