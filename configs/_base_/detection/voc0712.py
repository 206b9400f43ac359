# Copyright (c) mmmultissl contributors. All rights reserved.
# VOC2007 and VOC2012 trainval. Beside AP50, the mean of AP50 to AP95, as MoCo
# reports them.
_base_ = './voc07.py'

voc07 = _base_.train_dataloader.dataset
voc12 = dict(
    voc07,
    ann_file='VOC2012/ImageSets/Main/trainval.txt',
    data_prefix=dict(sub_data_root='VOC2012/'))
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='mmdet.ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[voc07, voc12]))
del voc07, voc12

val_evaluator = dict(iou_thrs=[0.5 + 0.05 * step for step in range(10)])
test_evaluator = val_evaluator
