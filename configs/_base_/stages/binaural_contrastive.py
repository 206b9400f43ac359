# Copyright (c) mmmultissl contributors. All rights reserved.
# The same, held near by telling clips apart in the teacher's features.
_base_ = './binaural_euclidean.py'

distill = dict(distill=dict(distance=dict(
    type='mmmultissl.ContrastiveDistance', temperature=0.2, centre=True)))
stages = dict(spatial=distill, foreground=distill, gap=distill)
