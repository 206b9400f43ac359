# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/incremental for half the channels: a row of images_voc07_r18-w32.py.
_base_ = ['./multissl_w32.py', '../../_base_/stages/moco-densecl_euclidean.py']

total_updates = 1920
