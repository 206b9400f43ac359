# Copyright (c) mmmultissl contributors. All rights reserved.
# The three binaural tasks one after the other, each stage from the trunk of
# the one before and held near it; the order is one line of a child, or
# --cfg-options stage_order=gap,spatial,foreground. The paper names incremental
# learning of the three; orders, distance and weight are our choice. A stage
# loads the views of its own task.
remember = dict(
    type='mmmultissl.FeatureDistillationTask',
    distance=dict(type='mmmultissl.EuclideanDistance'),
    # Every task encodes it.
    views=('clip', ),
    weight=1.)


def reading(*views, **model):
    dataset = dict(dataset=dict(views=('clip', *views)))
    return dict(
        train_dataloader=dataset, test_dataloader=dataset, model=model)


stages = dict(
    spatial=dict(overrides=reading('rotated', 'frame'), distill=remember),
    foreground=dict(
        overrides=reading('shifted', 'foreground'), distill=remember),
    # It needs no frames, and so no encoder of them.
    gap=dict(
        overrides=reading('shifted', companions=dict(visual=None)),
        distill=remember))
stage_order = ['spatial', 'foreground', 'gap']
