# Copyright (c) mmmultissl contributors. All rights reserved.
# The small ResNet-18 on two folders: the images of VOC2007's trainval list
# and all of another folder. Test images stay out of pretraining.
_base_ = './multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'

train_dataloader = dict(
    dataset=dict(
        data_root=[
            'data/VOCdevkit/VOC2007', 'data/image-ssl/imagenet1k_sample_160'
        ],
        ann_file=['ImageSets/Main/trainval.txt', ''],
        data_prefix=['JPEGImages', ''],
        img_suffix=['.jpg', '']))
