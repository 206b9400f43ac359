# Copyright (c) mmmultissl contributors. All rights reserved.
"""MultiSSL with one task is mmpretrain's algorithm; with two, their sum."""
import pytest
import torch
from mmengine.logging import MessageHub

from mmmultissl.models.selfsup import multi_ssl

from . import golden

PEERS = dict(
    moco=(golden.peer_moco, golden.moco_task),
    densecl=(golden.peer_densecl, golden.densecl_task))
STEPS = 20


def assert_same_state(ours, name, peer, **tolerance):
    task, ema = ours.tasks[name], ours.momentum['ema0']
    pairs = [(ours.backbone, peer.backbone), (task.neck, peer.neck),
             (ema.backbone, peer.encoder_k.module[0]),
             (ema.tasks[name]['neck'], peer.encoder_k.module[1])]
    for mine, theirs in pairs:
        theirs = theirs.state_dict()
        for key, value in mine.state_dict().items():
            torch.testing.assert_close(
                value, theirs[key], msg=lambda m: f'{key}: {m}', **tolerance)
    torch.testing.assert_close(task.queue.keys, peer.queue, **tolerance)
    assert task.queue.position == int(peer.queue_ptr)
    if name == 'densecl':
        torch.testing.assert_close(task.dense_queue.keys, peer.queue2,
                                   **tolerance)


@pytest.mark.parametrize('name', PEERS)
def test_bit_equal_to_mmpretrain_with_its_head(name):
    make_peer, make_task = PEERS[name]
    peer = make_peer()
    ours = golden.build({name: make_task(loss=golden.logits_loss())})
    golden.take_state(ours, name, peer)
    expected = golden.train(peer, golden.batches(STEPS))
    got = golden.train(ours, golden.batches(STEPS))
    assert torch.equal(got, expected)
    # A loss that does not move would be equal for a bad reason.
    assert expected.std() > 1e-3
    assert_same_state(ours, name, peer, rtol=0, atol=0)


@pytest.mark.parametrize('name', PEERS)
def test_equal_to_mmpretrain_in_float64_with_our_info_nce(name):
    make_peer, make_task = PEERS[name]
    peer = make_peer().double()
    ours = golden.build({name: make_task()}).double()
    golden.take_state(ours, name, peer)
    expected = golden.train(peer, golden.batches(STEPS, torch.float64))
    got = golden.train(ours, golden.batches(STEPS, torch.float64))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
    assert_same_state(ours, name, peer, rtol=0, atol=1e-9)


def gradients(model, views):
    model.zero_grad()
    torch.manual_seed(0)
    sum(v for k, v in model.loss(views, None).items()
        if 'loss' in k).backward()
    return {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


def test_two_tasks_give_the_sum_of_gradients_with_two_trunk_passes():
    views = next(golden.batches(1, torch.float64))
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    both = golden.build(tasks).double().train()
    alone = {}
    for name, task in tasks.items():
        single = golden.build({name: task}).double().train()
        state = {
            k: v
            for k, v in both.state_dict().items()
            if k in single.state_dict()
        }
        single.load_state_dict(state)
        alone[name] = gradients(single, views)

    passes = []
    both.backbone.register_forward_hook(lambda *_: passes.append('query'))
    both.momentum['ema0'].backbone.register_forward_hook(
        lambda *_: passes.append('key'))
    together = gradients(both, views)
    assert passes == ['query', 'key']

    for name, grad in together.items():
        expected = sum(grads[name] for grads in alone.values()
                       if name in grads)
        torch.testing.assert_close(grad, expected, rtol=1e-12, atol=1e-12)
    assert any(name.startswith('tasks.moco.') for name in together)
    assert any(name.startswith('tasks.densecl.') for name in together)


@pytest.mark.parametrize('kind', ['BYOL', 'SimSiam', 'BarlowTwins'])
def test_algorithms_of_mmpretrain_run_unchanged_as_tasks(kind):
    MessageHub.get_current_instance().update_info('max_iters', 5)
    algorithm, peer = golden.peer_of_kind(kind)
    ours = golden.build(
        dict(a=dict(type='mmmultissl.MMPretrainTask', algorithm=algorithm)),
        shuffle_bn=False)
    ours.backbone.load_state_dict(peer.backbone.state_dict())
    task = ours.tasks['a'].algorithm
    task.neck.load_state_dict(peer.neck.state_dict())
    task.head.load_state_dict(peer.head.state_dict())
    peer, ours = peer.double(), ours.double()
    expected = golden.train(peer, golden.batches(5, torch.float64))
    got = golden.train(ours, golden.batches(5, torch.float64))
    # mmpretrain's CosineEMA rounds its momentum to float32.
    tolerance = dict(rtol=0, atol=1e-6 if kind == 'BYOL' else 1e-12)
    torch.testing.assert_close(got, expected, **tolerance)
    assert expected.std() > 1e-4
    for key, value in ours.backbone.state_dict().items():
        torch.testing.assert_close(value,
                                   peer.backbone.state_dict()[key],
                                   **tolerance)
    if kind == 'BYOL':
        target = peer.target_net.module[0].state_dict()
        for key, value in ours.momentum['ema0'].backbone.state_dict().items():
            torch.testing.assert_close(value, target[key], **tolerance)


def test_equal_schedules_share_a_trunk_others_get_their_own(monkeypatch):
    said = []
    monkeypatch.setattr(multi_ssl, 'print_log',
                        lambda text, **_: said.append(text))
    MessageHub.get_current_instance().update_info('max_iters', 5)
    byol, _ = golden.peer_of_kind('BYOL')
    simsiam, _ = golden.peer_of_kind('SimSiam')
    model = golden.build(
        dict(
            moco=golden.moco_task(),
            byol=dict(type='mmmultissl.MMPretrainTask', algorithm=byol),
            densecl=golden.densecl_task(),
            simsiam=dict(type='mmmultissl.MMPretrainTask', algorithm=simsiam)))
    assert list(model.momentum) == ['ema0', 'ema1']
    assert list(model.momentum['ema0'].tasks) == ['moco', 'densecl']
    assert list(model.momentum['ema1'].tasks) == ['byol']
    assert said == [
        'Tasks: moco, byol, densecl, simsiam.',
        'EMA trunk ema0 (momentum 0.001) serves the tasks moco, densecl.',
        'EMA trunk ema1 (momentum 0.004 to 0.0 along a cosine) serves the '
        'task byol.', 'No EMA trunk for the task simsiam.'
    ]

    passes = []
    model.backbone.register_forward_hook(lambda *_: passes.append('query'))
    for encoder in model.momentum.values():
        encoder.backbone.register_forward_hook(
            lambda *_: passes.append('key'))
    losses = model.train().loss(next(golden.batches(1)), None)
    # Two views by the online trunk; one key view for MoCo and DenseCL
    # together, two for BYOL.
    assert passes.count('query') == 2 and passes.count('key') == 3
    assert set(losses) == {
        'moco.loss', 'byol.loss', 'densecl.loss_single', 'densecl.loss_dense',
        'simsiam.loss'
    }
