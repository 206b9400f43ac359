# Copyright (c) mmmultissl contributors. All rights reserved.
"""A step never makes the device wait for the host."""
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from . import golden

# What needs a value of the device on the host: .item(), int(), bool(), and
# operators whose output shape depends on values.
WAITING = {
    '_local_scalar_dense', 'nonzero', 'masked_select', 'is_nonzero', 'unique2',
    '_unique2', 'equal', 'repeat_interleave'
}


class Recorder(TorchDispatchMode):
    """Keeps the names of all operators."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_forward_loss_ema_and_queues_do_not_wait():
    model = golden.build(
        dict(moco=golden.moco_task(), densecl=golden.densecl_task())).train()
    views = next(golden.batches(1))
    for _ in range(2):  # the first EMA update is a copy
        with Recorder() as recorder:
            losses = model.loss(views, None)
            sum(losses.values()).backward()
        with torch.no_grad():
            for p in model.backbone.parameters():
                p.add_(0.01)
    assert '_foreach_lerp_' in recorder.names
    assert 'convolution_backward' in recorder.names
    assert not WAITING & set(recorder.names)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_does_not_wait():
    model = golden.build(
        dict(moco=golden.moco_task(),
             densecl=golden.densecl_task())).cuda().train()
    views = [view.cuda() for view in next(golden.batches(1))]
    model.loss(views, None)
    torch.cuda.set_sync_debug_mode('error')
    try:
        sum(model.loss(views, None).values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    assert model.backbone.conv1.weight.grad is not None


def test_the_recorder_would_see_mmpretrains_waits():
    peer = golden.peer_moco().train()
    with Recorder() as recorder:
        peer.loss(next(golden.batches(1)), None)
    assert '_local_scalar_dense' in recorder.names
