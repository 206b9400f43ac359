# Copyright (c) mmmultissl contributors. All rights reserved.
# Real images on one small machine or one GPU: ResNet-18 on 96-px crops of
# VOC2007 trainval and another folder, judged on VOC2007.
#   python tools/compare.py configs/compare/images_voc07_r18.py --dry-run
# Settings are chosen on three tenths of trainval, drawn by photographer; their
# images are pretrained on, as test images never are, without their labels. All
# settings are our choice.
_base_ = './images_base.py'

title = 'Combining MoCo v2 and DenseCL, ResNet-18 on 96-px crops'
total_updates = 1536
lists = dict(voc=dict(root='data/VOCdevkit/VOC2007', share=.3, seed=0))

config = ('configs/multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_'
          'voc07-96px.py')
amalgamation = dict(
    config='configs/amalgamation/amalgamation_moco-densecl_euclidean_'
    'resnet18_1xb64-coslr-100e_folder-96px.py',
    # The images of the other rows.
    cfg_options={
        'train_dataloader.dataset.data_root':
        ['data/VOCdevkit/VOC2007', 'data/image-ssl/imagenet1k_sample_160'],
        'train_dataloader.dataset.ann_file':
        ['ImageSets/Main/trainval.txt', ''],
        'train_dataloader.dataset.data_prefix': ['JPEGImages', ''],
        'train_dataloader.dataset.img_suffix': ['.jpg', '']
    })
incremental = dict(
    config='configs/incremental/incremental_moco-densecl_euclidean_'
    'resnet18_1xb64_voc07-96px.py')
rows = dict(
    moco_half=incremental,
    densecl_half=incremental,
    incremental=incremental,
    amalgamation_euclidean=amalgamation,
    amalgamation_contrastive=amalgamation)

voc_root = '{lists:voc}/../'
evaluations = dict(
    voc07=dict(
        kind='voc07',
        args=[
            '--data-root', '{lists:voc}', '--probes', 'svm', 'knn', '--size',
            '128', '--neighbours', '20'
        ],
        metrics={
            'SVM mAP': dict(key='mAP'),
            'kNN mAP': dict(key='knn.mAP')
        },
        embedding=True,
        usual=120),
    # Dear: --cfg-options evaluations.detection=None leaves it out.
    detection=dict(
        config='configs/detection/faster-rcnn_r18_fpn_2k_voc07-160px.py',
        cfg_options={
            'train_dataloader.dataset.data_root': voc_root,
            'val_dataloader.dataset.data_root': voc_root,
            'test_dataloader.dataset.data_root': voc_root
        },
        metrics={'detection AP50': dict(key='pascal_voc/AP50', scale=100.)},
        usual=1500))
