# Copyright (c) mmmultissl contributors. All rights reserved.
# Our choice.
_base_ = [
    '../binaural/multissl_binaural_omniaudio_8xb32-coslr-100e_48khz.py',
    '../_base_/stages/binaural_contrastive.py',
]

total_updates = 60000
