# Copyright (c) mmmultissl contributors. All rights reserved.
# As many updates as 100 passes over VOC2007 trainval and 1,000 other images.
_base_ = [
    '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_voc07-96px.py',
    '../_base_/stages/moco-densecl_euclidean.py',
]

total_updates = 9400
