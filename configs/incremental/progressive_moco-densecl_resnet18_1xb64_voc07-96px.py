# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = [
    '../multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_voc07-96px.py',
    '../_base_/stages/moco-densecl_progressive.py',
]

total_updates = 9400
