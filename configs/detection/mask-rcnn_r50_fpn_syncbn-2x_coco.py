# Copyright (c) mmmultissl contributors. All rights reserved.
# Mask R-CNN R50-FPN, COCO, 180,000 iterations.
_base_ = [
    '../_base_/detection/mask-rcnn_fpn.py',
    '../_base_/detection/coco_instance.py',
    '../_base_/detection/schedule_2x.py',
    '../_base_/detection/runtime.py',
]
