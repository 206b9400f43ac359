# Copyright (c) mmmultissl contributors. All rights reserved.
# Minutes on two cores, on generated images, to see that the whole chain works:
#   python tools/compare.py configs/compare/images_demo.py --jobs 2
# The figures say nothing about photographs. All settings are our choice.
_base_ = './images_base.py'

title = 'Combining MoCo v2 and DenseCL, demo'
note = ('Generated images, minutes of training: the numbers show that the '
        'chain works. They say nothing about photographs.')

total_updates = 240
seeds = [0]

images = '{work_dir}/images'
prepare = dict(
    images=dict(
        command=['{python}', 'tools/make_demo_images.py', images],
        output=images))
lists = dict(voc=dict(root=images, share=.3, seed=0))

monitor = _base_.monitor
for kind in ('batch', 'gradients', 'rank', 'queues', 'keys', 'drift',
             'earlier_tasks'):
    monitor[kind].interval = 20
# Of every row that is trained.
cfg_options = {
    'train_dataloader.dataset.data_root': images,
    'train_dataloader.num_workers': 0,
    'custom_hooks': [monitor]
}
config = 'configs/demo/multissl_densecl_r18_demo.py'
amalgamation = dict(config='configs/compare/rows/amalgamation_demo.py')
incremental = dict(config='configs/compare/rows/incremental_demo.py')
rows = dict(
    moco_half=incremental,
    densecl_half=incremental,
    incremental=incremental,
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)

evaluations = dict(
    voc07=dict(
        kind='voc07',
        args=[
            '--data-root', '{lists:voc}', '--probes', 'svm', 'knn',
            '--neighbours', '20', '--size', '96', '--num-workers', '0'
        ],
        metrics={
            'SVM mAP': dict(key='mAP'),
            'kNN mAP': dict(key='knn.mAP')
        },
        embedding=True,
        usual=20))
