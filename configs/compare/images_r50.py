# Copyright (c) mmmultissl contributors. All rights reserved.
# Full size: ResNet-50, ImageNet, as many updates as 200 passes for every row,
# 8 GPUs for each training, one after the other. COCO has no labelled test
# images, so its figures are scored with those of the test lists alone.
#   python tools/compare.py configs/compare/images_r50.py --dry-run
_base_ = './images_base.py'

title = 'Combining MoCo v2 and DenseCL, ResNet-50 on ImageNet'
total_updates = 200 * 5005
train_command = ['bash', 'tools/dist_train.sh', '{config}', '8']
lists = dict(voc=dict(root='data/VOCdevkit/VOC2007', share=.3, seed=0))

config = 'configs/multissl_densecl_r50.py'
amalgamation = dict(config='configs/compare/rows/amalgamation_r50.py')
incremental = dict(
    config='configs/incremental/incremental_moco-densecl_euclidean_'
    'resnet50_8xb32_in1k.py')
rows = dict(
    moco_half=incremental,
    densecl_half=incremental,
    incremental=incremental,
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)

evaluations = dict(
    voc07=dict(
        kind='voc07',
        args=['--data-root', '{lists:voc}', '--probes', 'svm', 'low_shot'],
        metrics={
            'SVM mAP': dict(key='mAP'),
            'low-shot mAP, k=4': dict(key='low_shot.shots.4.mAP')
        },
        usual=1800),
    coco=dict(
        only='test',
        config='configs/detection/mask-rcnn_r50_fpn_syncbn-12k_coco.py',
        metrics={
            'COCO box AP': dict(key='coco/bbox_mAP', scale=100.),
            'COCO mask AP': dict(key='coco/segm_mAP', scale=100.)
        },
        usual=20000))
