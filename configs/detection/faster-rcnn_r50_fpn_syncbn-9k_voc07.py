# Copyright (c) mmmultissl contributors. All rights reserved.
# Faster R-CNN R50-FPN, VOC2007 alone, 9,000 iterations.
_base_ = [
    '../_base_/detection/faster-rcnn_fpn.py',
    '../_base_/detection/voc07.py',
    '../_base_/detection/schedule_voc-9k.py',
    '../_base_/detection/runtime.py',
]

model = dict(roi_head=dict(bbox_head=dict(num_classes=20)))
