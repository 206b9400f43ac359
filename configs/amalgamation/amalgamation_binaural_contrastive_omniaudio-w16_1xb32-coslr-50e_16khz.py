# Copyright (c) mmmultissl contributors. All rights reserved.
# The same by the contrastive distance.
_base_ = './amalgamation_binaural_euclidean_omniaudio-w16_1xb32-coslr-50e_16khz.py'

distance = dict(
    distance=dict(type='mmmultissl.ContrastiveDistance', temperature=0.2))
model = dict(
    tasks=dict(
        from_spatial=distance, from_foreground=distance, from_gap=distance))
