# Copyright (c) mmmultissl contributors. All rights reserved.
# The same, held near by telling images apart in the teacher's features; the
# temperature and weight are those of CaSSLe (arXiv:2112.04215). Without
# centring the angles between pooled features are too small to tell them apart.
_base_ = './moco-densecl_euclidean.py'

distill = dict(
    distance=dict(
        type='mmmultissl.ContrastiveDistance', temperature=0.2, centre=True))
stages = dict(moco=dict(distill=distill), densecl=dict(distill=distill))
