# Copyright (c) mmmultissl contributors. All rights reserved.
"""Two processes compute what one computes."""
import os
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from mmmultissl.utils.command_line import leave_processes

from . import golden

STEPS, BATCH = 4, 8


def make_model(shuffle_bn):
    torch.manual_seed(0)
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    model = golden.build(tasks, golden.BN_FREE_TRUNK, shuffle_bn=shuffle_bn)
    return model.double().train()


def train(model, steps, first, last):
    """Train on rows first to last of every batch; give the losses."""
    optimizer = OptimWrapper(
        torch.optim.SGD(
            [p for p in model.parameters() if p.requires_grad],
            lr=0.03,
            momentum=0.9))
    losses = []
    for step, views in enumerate(
            golden.batches(steps, torch.float64, batch=BATCH)):
        # Ranks draw different numbers, as in training.
        torch.manual_seed(100 * step + first)
        data = dict(
            inputs=[view[first:last] for view in views], data_samples=None)
        losses.append(model.train_step(data, optimizer)['loss'])
    return torch.stack(losses)


def work(rank, port, shuffle_bn, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    model = make_model(shuffle_bn)
    # Preprocessing would turn the batch into float32.
    model.data_preprocessor = Untouched()
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    half = BATCH // 2
    losses = train(wrapped, STEPS, rank * half, (rank + 1) * half)
    torch.save((losses, model.state_dict()), folder / f'{rank}.pth')
    leave_processes()


class Untouched(torch.nn.Module):

    def forward(self, data, training=False):
        return data


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.mark.parametrize('shuffle_bn', [True, False])
def test_two_gloo_processes_equal_one(tmp_path, shuffle_bn):
    mp.spawn(work, (free_port(), shuffle_bn, tmp_path), nprocs=2)
    halves = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]

    model = make_model(shuffle_bn)
    model.data_preprocessor = Untouched()
    losses = train(model, STEPS, 0, BATCH)
    torch.testing.assert_close(
        (halves[0][0] + halves[1][0]) / 2, losses, rtol=0, atol=1e-10)
    for key, value in model.state_dict().items():
        for _, state in halves:
            torch.testing.assert_close(
                state[key],
                value,
                rtol=0,
                atol=1e-10,
                msg=lambda m: f'{key}: {m}')
    # Otherwise equal for a bad reason: nothing was trained or enqueued.
    assert model.tasks['moco'].queue.position == STEPS * BATCH
    assert losses.std() > 1e-3
