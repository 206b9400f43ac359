# Copyright (c) mmmultissl contributors. All rights reserved.
# RetinaNet R50-FPN, COCO, 90,000 iterations.
_base_ = [
    '../_base_/detection/retinanet_fpn.py',
    '../_base_/detection/coco_detection.py',
    '../_base_/detection/schedule_1x.py',
    '../_base_/detection/runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=0.01))
