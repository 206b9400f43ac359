# Copyright (c) mmmultissl contributors. All rights reserved.
# Our choice, for simulated scenes.
_base_ = [
    '../binaural/multissl_binaural_omniaudio-w16_1xb32-coslr-50e_16khz.py',
    '../_base_/stages/binaural_progressive.py',
]

total_updates = 6000
