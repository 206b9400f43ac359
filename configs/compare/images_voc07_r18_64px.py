# Copyright (c) mmmultissl contributors. All rights reserved.
# What two cores without a GPU do in an afternoon: 64-px crops, bfloat16, 20
# passes over 3,132 images, no detection.
#   python tools/compare.py configs/compare/images_voc07_r18_64px.py --jobs 2
# All settings are our choice.
_base_ = './images_voc07_r18.py'

title = 'Combining MoCo v2 and DenseCL, ResNet-18 on 64-px crops'
total_updates = 960
cfg_options = {
    'train_dataloader.dataset.pipeline.1.transforms.0.0.scale': 64,
    'train_dataloader.num_workers': 1,
    'optim_wrapper.type': 'mmmultissl.Bf16OptimWrapper'
}
evaluations = dict(
    voc07=dict(args=[
        '--data-root', '{lists:voc}', '--probes', 'svm', 'knn', '--size',
        '96', '--neighbours', '20', '--num-workers', '0'
    ]),
    detection=None)
