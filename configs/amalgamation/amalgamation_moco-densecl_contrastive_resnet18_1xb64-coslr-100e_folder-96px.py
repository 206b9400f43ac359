# Copyright (c) mmmultissl contributors. All rights reserved.
# The same by the contrastive distance.
_base_ = './amalgamation_moco-densecl_euclidean_resnet18_1xb64-coslr-100e_folder-96px.py'

distance = dict(
    distance=dict(type='mmmultissl.ContrastiveDistance', temperature=0.2))
model = dict(tasks=dict(from_moco=distance, from_densecl=distance))
