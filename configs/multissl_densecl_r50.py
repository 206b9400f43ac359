# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2 and DenseCL on one ResNet-50, ImageNet, 8 GPUs x 32, 200 epochs.
_base_ = './multissl/multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py'
