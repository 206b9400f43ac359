# Copyright (c) mmmultissl contributors. All rights reserved.
# Mask R-CNN R50-C4, COCO, 90,000 iterations.
_base_ = [
    '../_base_/detection/mask-rcnn_c4.py',
    '../_base_/detection/coco_instance.py',
    '../_base_/detection/schedule_1x.py',
    '../_base_/detection/runtime.py',
]
