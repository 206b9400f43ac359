# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers in a model: what the trunk gets, precision, resume, switches."""
from copy import deepcopy

import pytest
import torch

from mmmultissl.models.balancers import GradientBalancer

from . import golden
from .balancer_runs import BALANCERS, GRADIENT_LEVEL, TASKS, build
from .test_no_host_wait import WAITING, Recorder

DATA = list(golden.batches(6, torch.float64))


def loss_of(model, views, seed=0):
    torch.manual_seed(seed)
    return model.parse_losses(model.loss(views, None))[0]


@pytest.mark.parametrize('name', sorted(GRADIENT_LEVEL))
def test_the_trunk_gets_the_weighted_gradients(name):
    model = build(name)
    golden.train(model, DATA[:3])  # what has state gets some
    model.zero_grad()
    before = model.balancer.last_weights.clone()
    plain = build('fixed')
    plain.balancer.weights.clear()
    plain.load_state_dict(deepcopy(model.state_dict()), strict=False)
    loss_of(model, DATA[3]).backward()
    found = [p.grad for p in model.backbone.parameters()]
    weights = model.balancer.last_weights

    # The usual way: a backward pass through the trunk for each task.
    torch.manual_seed(0)
    losses = plain.loss(DATA[3], None)
    trunk = list(plain.backbone.parameters())
    rows = [
        torch.autograd.grad(losses[f'{t}.loss'], trunk, retain_graph=True)
        for t in plain.tasks
    ]
    for grad, *parts in zip(found, *rows):
        expected = sum(w * g for w, g in zip(weights, parts))
        torch.testing.assert_close(grad, expected, rtol=1e-8, atol=1e-12)
    assert name == 'sum' or weights.std() > 1e-3
    # Heads are trained as by a plain sum, or by the weight before.
    factor = 1.
    if model.balancer.heads:
        factor = before[list(TASKS).index('sign')]
    head = model.tasks['sign'].fc.weight
    expected, = torch.autograd.grad(losses['sign.loss'],
                                    plain.tasks['sign'].fc.weight)
    torch.testing.assert_close(head.grad, factor * expected)
    assert model.balancer.heads == (name in ('scale', 'gradnorm'))
    assert not model.balancer.heads or factor != 1


@pytest.mark.parametrize('name', sorted(GRADIENT_LEVEL))
def test_accumulated_gradients_are_those_of_each_part(name):
    model = build(name)
    golden.train(model, DATA[:2])
    model.zero_grad()
    whole = deepcopy(model)
    expected = 0
    for seed, views in enumerate(DATA[2:4]):
        (loss_of(model, views, seed) / 2).backward()
        whole.zero_grad()
        loss_of(whole, views, seed).backward()
        expected = expected + whole.backbone.conv1.weight.grad / 2
    torch.testing.assert_close(model.backbone.conv1.weight.grad, expected)


@pytest.mark.parametrize('name', sorted(GRADIENT_LEVEL))
def test_a_loss_scale_under_bfloat16_changes_nothing(name):
    found = []
    for scale in (1., 2.**16):
        model = build(name, dtype=torch.float32)
        for views in DATA[:3]:
            model.zero_grad()
            with torch.autocast('cpu', torch.bfloat16):
                loss = loss_of(model, [v.float() for v in views])
            (loss * scale).backward()
        assert model.last_gram.dtype == torch.float32
        found.append((model.balancer.last_weights.clone(),
                      model.backbone.conv1.weight.grad / scale))
    # A power of 2 is exact in every precision.
    torch.testing.assert_close(*(w for w, _ in found), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*(g for _, g in found), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize('name', ['scale', 'gradnorm'])
def test_weighing_heads_leaves_the_trunk_alone(name):
    # As long as heads have not been trained differently.
    found = []
    for heads in (True, False):
        model = build(name)
        model.balancer.heads = heads
        for views in DATA[:4]:
            model.zero_grad()
            loss_of(model, views).backward()
        found.append((model.backbone.conv1.weight.grad, model.last_gram,
                      model.balancer.last_weights,
                      model.tasks['sign'].fc.weight.grad))
    for one, other in list(zip(*found))[:3]:
        torch.testing.assert_close(one, other)
    assert not torch.allclose(found[0][3], found[1][3])


@pytest.mark.parametrize('name', sorted(GRADIENT_LEVEL))
def test_an_overflow_changes_no_state(name):
    model = build(name)
    golden.train(model, DATA[:2])
    before = {k: v.clone() for k, v in model.balancer.named_buffers()}
    (loss_of(model, DATA[2]) * float('inf')).backward()
    assert not model.last_gram.isfinite().all()
    for key, value in before.items():
        assert torch.equal(value, dict(model.balancer.named_buffers())[key])


@pytest.mark.parametrize('name', sorted(BALANCERS))
def test_a_resumed_model_ends_where_it_would_have_ended(name):
    through = build(name)
    golden.train(through, DATA[:3], lr=0.)
    resumed = build(name)
    resumed.load_state_dict(deepcopy(through.state_dict()))
    losses = golden.train(through, DATA[3:])
    assert torch.equal(losses, golden.train(resumed, DATA[3:]))
    own = resumed.state_dict()
    for key, value in through.state_dict().items():
        assert torch.equal(value, own[key]), key


@pytest.mark.parametrize('name', sorted(GRADIENT_LEVEL))
def test_one_task_trains_as_without_a_balancer(name):
    tasks = dict(moco=TASKS['moco'])
    plain, alone = build('sum', tasks), build(name, tasks)
    losses = golden.train(plain, DATA[:3])
    assert torch.equal(golden.train(alone, DATA[:3]), losses)


@pytest.mark.parametrize('name', sorted(BALANCERS))
def test_weights_are_logged_and_not_trained(name):
    model = build(name)
    total, log = model.parse_losses(model.loss(DATA[0], None))
    kind = ('trunk_weight' if isinstance(model.balancer, GradientBalancer)
            else 'weight')
    if name != 'fixed':
        assert {f'{t}.{kind}' for t in TASKS} <= set(log)
    torch.testing.assert_close(
        total, sum(v for k, v in log.items() if 'loss' in k and k != 'loss'))


@pytest.mark.parametrize('name', sorted(set(BALANCERS) - {'cagrad', 'mgda'}))
def test_a_step_does_not_wait_for_the_device(name):
    # MGDA of more than two tasks and CAGrad say that they do.
    model = build(name)
    loss_of(model, DATA[0]).backward()
    with Recorder() as recorder:
        sum(v for k, v in model.loss(DATA[1], None).items()
            if 'loss' in k).backward()
    assert 'convolution_backward' in recorder.names
    assert not WAITING & set(recorder.names)


def test_an_empty_dict_of_weights_goes_with_every_balancer():
    model = golden.build(
        TASKS, golden.BN_FREE_TRUNK,
        balancer=dict(type='mmmultissl.PCGrad', weights=dict()))
    assert type(model.balancer).__name__ == 'PCGrad'
    with pytest.raises(ValueError, match='no argument "weights"'):
        golden.build(
            TASKS, golden.BN_FREE_TRUNK,
            balancer=dict(type='mmmultissl.PCGrad', weights=dict(moco=2.)))


def test_a_step_of_a_pass_reaches_the_balancer():
    model = golden.build(
        TASKS, golden.BN_FREE_TRUNK,
        balancer=dict(type='mmmultissl.DynamicWeightAverage'))
    model.announce_dataset(10**6, 17)
    assert model.balancer.interval == 17
    assert len(model.balancer.queues) == 2
    assert not [k for k in model.state_dict() if k.startswith('balancer.q')]
