# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2, then DenseCL, held near the first stage's trunk: about two minutes on
# two cores. The images, if they are not there yet:
#   python tools/make_demo_images.py work_dirs/quickstart/data
_base_ = [
    './multissl_densecl_r18_demo.py',
    '../_base_/stages/moco-densecl_euclidean.py',
]

total_updates = 600
