# Copyright (c) mmmultissl contributors. All rights reserved.
"""EMA copies move once per optimiser step, as mmengine's do."""
import copy

import pytest
import torch
import torch.nn as nn
from mmengine.model import ExponentialMovingAverage

from mmmultissl.models import MomentumEncoder, MomentumSchedule

from . import golden


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_equals_mmengines_ema_bit_for_bit():
    online, neck = network(), nn.Linear(4, 2)
    peer = ExponentialMovingAverage(nn.Sequential(online, neck), 0.01)
    ours = MomentumEncoder(online, MomentumSchedule(0.01))
    ours.add_task('a', dict(neck=neck))
    for _ in range(5):
        for p in [*online.parameters(), *neck.parameters()]:
            p.data = torch.randn_like(p)
        online(torch.randn(2, 3, 8, 8))
        peer.update_parameters(nn.Sequential(online, neck))
        ours.update(online, dict(a=dict(neck=neck)))
    expected = peer.module.state_dict()
    for key, value in ours.backbone.state_dict().items():
        assert torch.equal(value, expected[f'0.{key}']), key
    for key, value in ours.tasks['a']['neck'].state_dict().items():
        assert torch.equal(value, expected[f'1.{key}']), key


# A fused step does not show in torch's version counters.
@pytest.mark.parametrize('kind', [{}, dict(foreach=True), dict(fused=True)])
def test_moves_only_after_the_optimiser_has_stepped(kind):
    online = network()
    ours = MomentumEncoder(online, MomentumSchedule(0.5))
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1, **kind)
    ours.follow(optimizer)
    ours.update(online, {})
    assert torch.equal(ours.backbone[0].weight, online[0].weight)
    online(torch.randn(2, 3, 8, 8)).mean().backward()
    before = ours.backbone[0].weight.clone()
    # Accumulating gradients: the statistics follow, the weights do not.
    ours.update(online, {})
    assert ours.steps == 1
    assert torch.equal(ours.backbone[0].weight, before)
    assert torch.equal(ours.backbone[1].running_mean, online[1].running_mean)
    online[0].weight.grad = torch.ones_like(online[0].weight)
    optimizer.step()
    ours.update(online, {})
    assert ours.steps == 2
    torch.testing.assert_close(ours.backbone[0].weight,
                               (before + online[0].weight) / 2)


def test_continues_from_a_state_dict():
    online = network()
    ours = MomentumEncoder(online, MomentumSchedule(0.1))
    ours.update(online, {})
    again = MomentumEncoder(network(), MomentumSchedule(0.1))
    again.load_state_dict(ours.state_dict())
    with torch.no_grad():
        online[0].weight.add_(1.)
    ours.update(online, {})
    again.update(online, {})
    assert again.steps == ours.steps == 2
    assert torch.equal(again.backbone[0].weight, ours.backbone[0].weight)


@pytest.mark.parametrize('steps', [True, False])
def test_a_skipped_step_is_skipped_after_a_resume_too(steps):
    online = network()
    ours = MomentumEncoder(online, MomentumSchedule(0.5))
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    ours.follow(optimizer)
    ours.update(online, {})
    if steps:
        optimizer.step()
    again = MomentumEncoder(network(), MomentumSchedule(0.5))
    again.load_state_dict(ours.state_dict())
    again.follow(optimizer)
    with torch.no_grad():
        online[0].weight.add_(1.)
    for encoder in (ours, again):
        encoder.update(online, {})
        assert encoder.steps == 1 + steps
    assert torch.equal(again.backbone[0].weight, ours.backbone[0].weight)
    # Files of before held the number alone.
    again.set_extra_state(torch.tensor(7))
    assert again.steps == 7


def test_keys_come_from_the_ema_trunk_and_carry_no_gradient():
    # lightly's DenseCL example encodes keys with the online trunk.
    model = golden.build(dict(moco=golden.moco_task())).train()
    views = next(golden.batches(1))
    key_view = views[1].clone().requires_grad_()
    model.loss([views[0], key_view], None)['moco.loss'].backward()
    assert key_view.grad is None
    assert all(p.grad is None for p in model.momentum.parameters())

    # The first update was a copy; from here on the EMA trunk hardly moves.
    state = copy.deepcopy(model.state_dict())

    def loss(change=lambda: None):
        model.load_state_dict(state)
        change()
        torch.manual_seed(0)
        return model.loss(views, None)['moco.loss'].item()

    def spoil_keys():
        with torch.no_grad():
            for p in model.momentum['ema0'].backbone.parameters():
                p.zero_()

    assert loss() == loss()
    assert abs(loss(spoil_keys) - loss()) > 1e-3


def test_a_copy_does_not_wait_for_the_originals_optimiser():
    online = network()
    ours = MomentumEncoder(online, MomentumSchedule(0.5))
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    stop = ours.follow(optimizer)
    again = copy.deepcopy(ours)
    for encoder, moves in ((again, 3), (ours, 1)):
        for _ in range(3):
            encoder.update(online, {})
        assert encoder.steps == moves
    stop()
    ours.update(online, {})
    ours.update(online, {})
    assert ours.steps == 3


@pytest.mark.parametrize('value', [0., -1., 2.])
def test_impossible_momentum_is_refused(value):
    with pytest.raises(ValueError, match='set the share of the online'):
        MomentumSchedule(value)
