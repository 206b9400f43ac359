# Copyright (c) mmmultissl contributors. All rights reserved.
# COCO 2017, short side 640 to 800 in training and 800 in testing (MoCo).
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

data_root = '{{$COCO_ROOT:data/coco}}/'
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomChoiceResize',
    resize_type='mmdet.Resize',
    scales=[(1333, side) for side in range(640, 801, 32)],
    keep_ratio=True)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'),
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
ann_file = data_root + 'annotations/instances_val2017.json'
val_evaluator = dict(ann_file=ann_file)
test_evaluator = dict(ann_file=ann_file)
