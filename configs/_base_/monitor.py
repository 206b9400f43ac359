# Copyright (c) mmmultissl contributors. All rights reserved.
# What can be known of a run while it trains: docs/monitor.md. Beside a config
# in _base_; a child that has custom_hooks of its own lists this one in them:
#   custom_hooks = [_base_.monitor, ...]
monitor = dict(
    type='mmmultissl.MonitorHook',
    batch=dict(interval=50),
    gradients=dict(interval=100),
    rank=dict(interval=500, memory=1024),
    queues=dict(interval=500),
    keys=dict(interval=500),
    drift=dict(interval=500, memory=1024),
    # Labelled images, such as dict(interval=1000, dataset=dict(
    #     type='mmmultissl.VOC07Images', data_root=..., image_size=128)).
    knn=None,
    # In a run of stages dict() watches the stages before.
    earlier_tasks=None,
    collapse=dict(begin=200))
custom_hooks = [monitor]
