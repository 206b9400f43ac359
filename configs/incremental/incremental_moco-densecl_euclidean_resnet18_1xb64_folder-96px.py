# Copyright (c) mmmultissl contributors. All rights reserved.
# Our choice for a folder of a few thousand images.
_base_ = [
    '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py',
    '../_base_/stages/moco-densecl_euclidean.py',
]

total_updates = 5000
