# Copyright (c) mmmultissl contributors. All rights reserved.
"""With every balancer two processes compute what one computes."""
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmmultissl.utils.command_line import leave_processes

from . import golden
from .balancer_runs import BALANCERS, build
from .test_distributed import Untouched, free_port

STEPS, BATCH = 4, 8


def train(name, wrap, first, last):
    """Train on rows first to last of every batch, two for each update."""
    model = build(name)
    # Preprocessing would turn the batch into float32.
    model.data_preprocessor = Untouched()
    optimizer = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9),
        accumulative_counts=2)
    optimizer.initialize_count_status(model, 0, STEPS)
    wrapped = wrap(model)
    grams = []
    for step, views in enumerate(
            golden.batches(STEPS, torch.float64, batch=BATCH)):
        # Ranks draw different numbers, as in training.
        torch.manual_seed(100 * step + first)
        data = dict(
            inputs=[view[first:last] for view in views], data_samples=None)
        wrapped.train_step(data, optimizer)
        if model.last_gram is not None:
            grams.append(model.last_gram)
    return model.state_dict(), grams


def work(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    half = BATCH // 2
    found = {
        name: train(
            name,
            lambda model: MMDistributedDataParallel(
                model, broadcast_buffers=False),
            rank * half, (rank + 1) * half) for name in BALANCERS
    }
    torch.save(found, folder / f'{rank}.pth')
    leave_processes()


@pytest.fixture(scope='module')
def halves(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    mp.spawn(work, (free_port(), folder), nprocs=2)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


@pytest.mark.parametrize('name', sorted(BALANCERS))
def test_two_gloo_processes_equal_one(halves, name):
    start = build(name).state_dict()
    state, grams = train(name, lambda model: model, 0, BATCH)
    for half, half_grams in (h[name] for h in halves):
        torch.testing.assert_close(half_grams, grams, rtol=1e-8, atol=1e-14)
        for key, value in state.items():
            torch.testing.assert_close(
                half[key], value, rtol=0, atol=1e-10,
                msg=lambda m: f'{key}: {m}')
    # Otherwise equal for a bad reason: nothing was trained.
    moved = state['backbone.conv1.weight'] - start['backbone.conv1.weight']
    assert moved.abs().max() > 1e-5
