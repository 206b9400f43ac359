# Copyright (c) mmmultissl contributors. All rights reserved.
# The same by the choices of VISSL: its costs, images resized by Pillow.
_base_ = 'voc07_resnet50.py'

test_cfg = dict(preset='vissl')
