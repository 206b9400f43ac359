# Copyright (c) mmmultissl contributors. All rights reserved.
_base_ = [
    '../multissl/multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py',
    '../_base_/stages/moco-densecl_progressive.py',
]

total_updates = 200 * 5005
