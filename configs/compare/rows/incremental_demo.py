# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/incremental at the size of the demo: a row of images_demo.py.
_base_ = [
    '../../demo/multissl_densecl_r18_demo.py',
    '../../_base_/stages/moco-densecl_euclidean.py'
]

total_updates = 600
