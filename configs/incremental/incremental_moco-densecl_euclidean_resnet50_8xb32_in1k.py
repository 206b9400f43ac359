# Copyright (c) mmmultissl contributors. All rights reserved.
# In all as many updates as 200 passes over ImageNet, 8 x 32 images at a time.
_base_ = [
    '../multissl/multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py',
    '../_base_/stages/moco-densecl_euclidean.py',
]

total_updates = 200 * 5005
