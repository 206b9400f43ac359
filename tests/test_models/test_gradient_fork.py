# Copyright (c) mmmultissl contributors. All rights reserved.
"""A fork that adds up changes nothing, and measures what it sees."""
import pytest
import torch
from mmengine.registry import MODELS as ROOT

from mmmultissl.models.balancers import GradientBalancer
from mmmultissl.models.selfsup.gradient_fork import fork, gram_matrix
from mmmultissl.models.tasks import PretextTask
from mmmultissl.registry import MODELS

from . import golden

TWO = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
THREE = dict(
    moco=golden.moco_task(),
    back=golden.moco_task(query_view='view1', key_view='view0'),
    densecl=golden.densecl_task())


@MODELS.register_module()
class Projection(PretextTask):
    """Reads some views once each; its loss is linear in them."""

    def __init__(self, views=('view0', 'view1'), read=None, scale=1.):
        super().__init__()
        self.query_views = tuple(views)
        self.read = self.query_views if read is None else read
        self.direction = torch.nn.Parameter(torch.randn(golden.WIDTH))
        self.scale = scale

    def loss(self, views, data_samples=None):
        return dict(loss=self.scale * sum(
            (views.query(view)[0].mean((2, 3)) @ self.direction).tanh().mean()
            for view in self.read))


def projection(**kwargs):
    return dict(type='mmmultissl.Projection', **kwargs)


def same_start(tasks, *balancers, dtype=torch.float32, **kwargs):
    models = [
        golden.build(
            tasks, balancer=dict(type=f'mmmultissl.{b}'), **kwargs)
        for b in balancers
    ]
    for model in models:
        model.load_state_dict(models[0].state_dict(), strict=False)
        model.to(dtype).train()
    return models


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('tasks', [
    dict(a=projection(), b=projection(), c=projection()),
    dict(moco=golden.moco_task(), back=projection()),
    dict(moco=golden.moco_task())
])
def test_a_plain_sum_equals_no_fork_bit_for_bit(tasks, dtype):
    # Each task reads a feature once, so the order of additions is the same.
    plain, forked = same_start(
        tasks, 'FixedWeights', 'GradientSum', dtype=dtype)
    losses = golden.train(plain, golden.batches(3, dtype))
    assert torch.equal(losses, golden.train(forked, golden.batches(3, dtype)))
    own = forked.state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(value, own[key]), key
    assert forked.balancer.last_gram.shape == (len(tasks), len(tasks))


def test_tasks_that_read_a_feature_twice_differ_by_rounding_only():
    plain, forked = same_start(
        THREE, 'FixedWeights', 'GradientSum', dtype=torch.float64)
    losses = golden.train(plain, golden.batches(3, torch.float64))
    own = golden.train(forked, golden.batches(3, torch.float64))
    torch.testing.assert_close(losses, own, rtol=1e-11, atol=0)


def separate_gradients(model, views):
    """Each task's gradient on all query features, by autograd."""
    shared = []

    def keep(_, __, output):
        shared.extend(output)

    hook = model.backbone.register_forward_hook(keep)
    torch.manual_seed(0)
    losses = model.loss(views, None)
    hook.remove()
    rows = []
    for name in model.tasks:
        loss = sum(value for key, value in losses.items()
                   if key.startswith(f'{name}.') and 'loss' in key)
        found = torch.autograd.grad(
            loss, shared, retain_graph=True, allow_unused=True)
        rows.append(torch.cat([
            (torch.zeros_like(f) if g is None else g).flatten()
            for f, g in zip(shared, found)
        ]))
    return torch.stack(rows)


def test_the_gram_matrix_spans_all_views():
    plain, forked = same_start(
        THREE, 'FixedWeights', 'GradientSum', dtype=torch.float64)
    views = next(golden.batches(1, torch.float64))
    rows = separate_gradients(plain, views)
    torch.manual_seed(0)
    sum(v for k, v in forked.loss(views, None).items()
        if 'loss' in k).backward()
    gram = forked.last_gram
    torch.testing.assert_close(gram, rows @ rows.t(), rtol=1e-10, atol=0)
    # MoCo and DenseCL read one view and "back" the other: nothing in common.
    assert gram[0, 1] == 0 and gram[1, 2] == 0 and gram[0, 2] != 0
    assert forked.last_gram_names == ['moco', 'back', 'densecl']
    assert forked.balancer.last_gram is gram


def test_request_gram_measures_one_step_and_changes_nothing():
    plain, asked = same_start(
        dict(a=projection(), b=projection()), 'FixedWeights', 'FixedWeights')
    data = list(golden.batches(3))
    assert asked.last_gram is None and asked.balancer.last_gram is None
    asked.eval()
    asked.request_gram()
    asked.loss(data[0], None)  # judging is no training step
    losses = golden.train(plain, data[:1])
    assert torch.equal(golden.train(asked, data[:1]), losses)
    gram = asked.last_gram
    assert gram.shape == (2, 2) and asked.balancer.last_gram is None
    golden.train(plain, data[1:])
    golden.train(asked, data[1:])
    assert asked.last_gram is gram
    for p, q in zip(plain.parameters(), asked.parameters()):
        assert torch.equal(p, q)


def test_gram_of_parts_adds_up():
    rows = [[torch.randn(5, 3, 2, 2), torch.randn(5, 4)] for _ in range(3)]
    whole = gram_matrix(rows)
    parts = [gram_matrix([[g] for g in each]) for each in zip(*rows)]
    torch.testing.assert_close(whole, sum(parts))
    flat = torch.stack([torch.cat([g.flatten() for g in r]) for r in rows])
    torch.testing.assert_close(whole, flat @ flat.t())
    assert torch.equal(whole, whole.t())


def test_memory_order_and_missing_gradients_do_not_matter():
    a, b = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    expected = torch.tensor([[(a * a).sum(), 0, (a * b).sum()], [0, 0, 0],
                             [(a * b).sum(), 0, (b * b).sum()]])
    last = b.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gram_matrix([[a], [None], [last]]), expected)


def test_large_features_are_multiplied_in_parts(monkeypatch):
    rows = [[torch.randn(7, 6)] for _ in range(3)]
    whole = gram_matrix(rows)
    monkeypatch.setattr('mmmultissl.models.selfsup.gradient_fork._CHUNK', 12)
    torch.testing.assert_close(gram_matrix(rows), whole)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_and_added_in_float32(dtype):
    feature = torch.randn(4, 300).to(dtype).requires_grad_()
    seen, weights = [], torch.tensor([1 / 3, -1 / 7, 2.], dtype=torch.float64)

    def combine(gram):
        seen.append(gram)
        return weights

    gradients = torch.randn(3, 4, 300).to(dtype)
    copies = fork([feature], 3, combine)
    torch.autograd.backward([c[0] for c in copies], list(gradients))
    flat = gradients.double().flatten(1)
    assert seen[0].dtype == torch.float32
    torch.testing.assert_close(
        seen[0].double(), flat @ flat.t(), rtol=1e-5, atol=1e-3)
    expected = torch.einsum('t,tnc->nc', weights.float(), gradients.float())
    assert feature.grad.dtype == dtype
    torch.testing.assert_close(feature.grad, expected.to(dtype))


def test_autocast_around_the_backward_pass_does_not_round():
    gradients = torch.randn(2, 4, 300)
    flat = gradients.double().flatten(1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        gram = gram_matrix([[g] for g in gradients])
    assert gram.dtype == torch.float32
    torch.testing.assert_close(
        gram.double(), flat @ flat.t(), rtol=1e-5, atol=1e-3)


def test_a_view_that_is_not_named_is_told():
    model, = same_start(
        dict(a=projection(), b=projection(views=['view0'], read=['view1'])),
        'GradientSum')
    # Task a has the view encoded, but b's gradient would still be seen.
    model.loss(next(golden.batches(1)), None)
    model, = same_start(
        dict(b=projection(views=['view0'], read=['view1'])), 'GradientSum')
    with pytest.raises(ValueError, match='"b" reads .*"view1".*query_views'):
        model.loss(next(golden.batches(1)), None)


def test_a_frozen_trunk_is_told():
    model, = same_start(dict(a=projection(), b=projection()), 'GradientSum')
    model.backbone.requires_grad_(False)
    with pytest.raises(ValueError, match='GradientSum .*train the trunk'):
        model.loss(next(golden.batches(1)), None)


def test_a_task_cannot_write_into_what_others_read():
    feature = torch.randn(3, 2, requires_grad=True) * 1
    (first, ), _ = fork([feature], 2, lambda gram: None)
    with pytest.raises(RuntimeError, match='modified inplace'):
        first.mul_(2)


def test_judging_does_not_fork():
    model, = same_start(dict(a=projection(), b=projection()), 'GradientSum')
    views = next(golden.batches(1))
    model.eval()
    losses = model.loss(views, None)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    with torch.no_grad():
        model.train().loss(views, None)
    assert model.last_gram is None


def test_gradient_balancers_are_of_our_registry():
    assert issubclass(MODELS.get('GradientSum'), GradientBalancer)
    assert ROOT.get('mmmultissl.GradientSum') is MODELS.get('GradientSum')
