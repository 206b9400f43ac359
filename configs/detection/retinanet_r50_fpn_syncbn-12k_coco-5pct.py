# Copyright (c) mmmultissl contributors. All rights reserved.
# RetinaNet R50-FPN, 5 % of COCO's labels, 12,000 iterations.
# tools/coco_subset.py writes the labels.
_base_ = './retinanet_r50_fpn_syncbn-12k_coco.py'

train_dataloader = dict(
    dataset=dict(
        ann_file='semi_anns/instances_train2017.{{$COCO_FOLD:1}}@5.json'))
