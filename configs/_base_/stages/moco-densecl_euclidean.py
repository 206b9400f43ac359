# Copyright (c) mmmultissl contributors. All rights reserved.
# MoCo v2, then DenseCL, each stage from the trunk of the one before and held
# near it. The paper names incremental learning and a Euclidean distance; that
# it is between pooled features of unit length, and its weight, are our choice.
# The order is one line of a child, or --cfg-options stage_order=densecl,moco;
# distillation is left out where a stage comes first.
remember = dict(
    type='mmmultissl.FeatureDistillationTask',
    distance=dict(type='mmmultissl.EuclideanDistance'),
    # The view that both tasks encode with gradient.
    views=('view0', ),
    weight=1.)
stages = dict(moco=dict(distill=remember), densecl=dict(distill=remember))
stage_order = ['moco', 'densecl']
