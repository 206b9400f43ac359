# Copyright (c) mmmultissl contributors. All rights reserved.
"""Gradient-level balancers against full-vector versions of their papers."""
import copy
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from mmmultissl.models.balancers import (IMTLG, MGDA, CAGrad, GradientSum,
                                         GradNorm, GradNormScale, GradVac,
                                         PCGrad)
from mmmultissl.models.balancers.base import GradientBalancer
from mmmultissl.models.balancers.cagrad import cagrad_weights
from mmmultissl.models.balancers.grad_norm import grad_norm_weights
from mmmultissl.models.balancers.grad_vac import grad_vac_weights
from mmmultissl.models.balancers.imtl_g import imtl_g_weights
from mmmultissl.models.balancers.mgda import mgda_weights
from mmmultissl.models.balancers.pcgrad import pcgrad_weights
from mmmultissl.models.utils import RingQueue

ALL = dict(
    sum=GradientSum, pcgrad=PCGrad, mgda=MGDA, cagrad=CAGrad,
    scale=GradNormScale, vac=GradVac, imtl=IMTLG,
    gradnorm=lambda: GradNorm(initial_iters=1, begin_iter=0))
CASES = [(tasks, kind) for tasks in (2, 3, 5, 8)
         for kind in ('plain', 'conflict', 'alike', 'uneven')]


def with_tasks(balancer, tasks, queues=()):
    balancer.set_tasks([f't{i}' for i in range(tasks)])
    balancer.set_queues(queues)
    return balancer.double().train()


def gradients(tasks, kind, seed=0, length=40):
    """Vectors of T tasks, ``(T, D)``."""
    generator = torch.Generator().manual_seed(seed + tasks)
    rows = torch.randn(tasks, length, generator=generator).double()
    if kind == 'conflict':
        rows[0] -= 0.8 * rows[1:].sum(0)
    if kind == 'alike':
        rows += 3 * rows[:1]
    if kind == 'uneven':
        rows *= torch.logspace(-2, 2, tasks).double()[:, None]
    return rows


def all_others(tasks, seed=1):
    generator = np.random.RandomState(seed)
    return torch.tensor(np.stack([
        generator.permutation([u for u in range(tasks) if u != t])
        for t in range(tasks)
    ]))


def step(balancer, rows, losses=None):
    """Forward and backward; gives the combined gradient."""
    losses = losses or [1.] * len(rows)
    given = [torch.tensor(v).double().requires_grad_() for v in losses]
    out = balancer({f't{i}': dict(loss=v) for i, v in enumerate(given)})
    factors = torch.autograd.grad(sum(e['loss'] for e in out.values()), given)
    rows = torch.stack(factors)[:, None] * rows  # what the fork receives
    weights = balancer.combine(rows @ rows.t())
    return rows.sum(0) if weights is None else weights.to(rows) @ rows


@pytest.mark.parametrize('tasks, kind', CASES)
def test_pcgrad_is_its_algorithm_on_vectors(tasks, kind):
    rows, others = gradients(tasks, kind), all_others(tasks)
    expected = 0
    for i in range(tasks):
        projected = rows[i].clone()
        for j in others[i].tolist():
            product = projected @ rows[j]
            if product < 0:
                projected -= product / rows[j].square().sum() * rows[j]
        expected = expected + projected
    found = pcgrad_weights(rows @ rows.t(), others) @ rows
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_pcgrad_of_two_conflicts_with_neither():
    rows = gradients(2, 'conflict')
    assert rows[0] @ rows[1] < 0
    combined = pcgrad_weights(rows @ rows.t(), all_others(2)) @ rows
    assert (rows @ combined >= 0).all()
    friends = gradients(2, 'alike')
    weights = pcgrad_weights(friends @ friends.t(), all_others(2))
    assert torch.equal(weights, torch.ones(2).double())


@pytest.mark.parametrize('tasks, kind', CASES)
def test_mgda_is_the_shortest_convex_combination(tasks, kind):
    rows = gradients(tasks, kind)
    weights = mgda_weights(rows @ rows.t())
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1)
    # Optimal exactly if no gradient leans less towards the result than the
    # result itself (the variational inequality of the convex problem).
    shortest = weights @ rows
    square = shortest @ shortest
    slack = 1e-9 * rows.square().sum(1).max()
    assert (rows @ shortest >= square - slack).all()
    # Then a step along it makes no task worse.
    assert (rows @ shortest > -1e-9).all()


def test_mgda_of_two_is_the_papers_formula():
    rows = gradients(2, 'conflict')
    first, second = rows
    gamma = ((second - first) @ second / (first - second).square().sum())
    weights = mgda_weights(rows @ rows.t())
    assert weights[0].item() == pytest.approx(gamma.clamp(0, 1).item())
    # One gradient is the shortest of all: it gets all the weight.
    rows = torch.tensor([[1., 0.], [3., 1.]]).double()
    assert mgda_weights(rows @ rows.t()).tolist() == [1., 0.]


@pytest.mark.parametrize('normalise', ['none', 'l2', 'loss', 'loss+'])
def test_mgda_normalises_for_the_weights_only(normalise):
    rows, losses = gradients(3, 'uneven'), [2., 0.5, 1.]
    balancer = with_tasks(MGDA(normalise=normalise, as_mean=True), 3)
    found = step(balancer, rows, losses)
    divisor = torch.ones(3).double()
    if 'loss' in normalise:
        divisor *= torch.tensor(losses)
    if normalise in ('l2', 'loss+'):
        divisor *= rows.norm(dim=1)
    scaled = rows / divisor[:, None]
    expected = mgda_weights(scaled @ scaled.t())
    torch.testing.assert_close(found, expected @ rows)


def cagrad_by_slsqp(rows, c):
    """The dual problem of the paper, on vectors, by a general solver."""
    mean = rows.mean(0)
    radius = c * np.linalg.norm(mean)

    def dual(w):
        return w @ rows @ mean + radius * np.linalg.norm(w @ rows)

    tasks = len(rows)
    found = min((minimize(
        dual, start, bounds=[(0, 1)] * tasks, tol=1e-14,
        constraints=[dict(type='eq', fun=lambda w: w.sum() - 1)],
        options=dict(maxiter=500))
        for start in [np.full(tasks, 1 / tasks),
                      *(0.9 * np.eye(tasks) + 0.1 / tasks)]),
        key=lambda result: result.fun)
    worst = found.x @ rows
    return mean + radius * worst / np.linalg.norm(worst), found.fun


@pytest.mark.parametrize('c', [0.2, 0.5, 0.9])
@pytest.mark.parametrize('tasks, kind', [c for c in CASES if c[0] < 8])
def test_cagrad_solves_the_papers_problem(tasks, kind, c):
    rows = gradients(tasks, kind).numpy()
    rows = rows / np.linalg.norm(rows, axis=1).max()
    found = cagrad_weights(rows @ rows.T, c) @ rows
    mean = rows.mean(0)
    radius = c * np.linalg.norm(mean)
    # The primal problem: no further from the mean than allowed,
    # and the worst task improves as much as the dual value says it can.
    assert np.linalg.norm(found - mean) <= radius * (1 + 1e-9)
    expected, bound = cagrad_by_slsqp(rows, c)
    assert (rows @ found).min() == pytest.approx(bound, abs=1e-7)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_cagrad_of_two_opposed_gradients():
    # Both dimensions can be told by hand: the mean is (0, 1), the radius 1/2,
    # the worst-case gradient lies in the convex hull at (0, 1).
    rows = np.array([[3., 1.], [-3., 1.]])
    found = cagrad_weights(rows @ rows.T, 0.5) @ rows
    np.testing.assert_allclose(found, [0., 1.5], atol=1e-9)
    assert cagrad_weights(rows @ rows.T, 0.) == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize('rows', [
    [[1., 0.], [-1., 0.], [0.3, 2.]],  # no combination of two is left
    [[1., 0.], [1., 0.]], [[1., 2.], [-1., -2.]],
    [[1e4, 0.], [1e-4, 1e-4]], [[1., 0.], [2., 0.], [4., 0.]],
])
@pytest.mark.parametrize('name', sorted(ALL))
def test_degenerate_gradients_give_finite_weights(name, rows):
    rows = torch.tensor(rows).double()
    balancer = with_tasks(ALL[name](), len(rows))
    for _ in range(3):
        assert step(balancer, rows).isfinite().all()
        assert balancer.last_weights.isfinite().all()


@pytest.mark.parametrize('rescale, divisor', [(0, 1.), (1, 1.25), (2, 1.5)])
def test_cagrad_rescales(rescale, divisor):
    rows = gradients(3, 'conflict')
    found = step(with_tasks(CAGrad(rescale=rescale, as_mean=True), 3), rows)
    plain = step(with_tasks(CAGrad(rescale=0), 3), rows)
    torch.testing.assert_close(found * divisor * 3, plain)


@pytest.mark.parametrize('tasks, kind', CASES)
def test_grad_vac_is_its_algorithm_on_vectors(tasks, kind):
    rows, others = gradients(tasks, kind), all_others(tasks)
    targets = 0.6 * torch.rand(tasks, tasks).double() - 0.2
    new, expected = targets.clone(), 0
    for i in range(tasks):
        turned = rows[i].clone()
        for j in others[i].tolist():
            target = new[i, j].item()
            length = rows[j].norm()
            cosine = (turned @ rows[j] / turned.norm() / length).item()
            if cosine < target:
                # The cosine becomes the target.
                turned = turned + turned.norm() * (
                    target * math.sqrt(1 - cosine**2) -
                    cosine * math.sqrt(1 - target**2)) / (
                        length * math.sqrt(1 - target**2)) * rows[j]
                assert (turned @ rows[j] / turned.norm() / length
                        ).item() == pytest.approx(target)
            new[i, j] = 0.9 * target + 0.1 * cosine
        expected = expected + turned
    weights, found = grad_vac_weights(
        rows @ rows.t(), others, targets, momentum=0.1)
    torch.testing.assert_close(weights @ rows, expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found, new, rtol=1e-8, atol=1e-8)


def test_grad_vac_without_memory_is_pcgrad():
    rows, others = gradients(4, 'conflict'), all_others(4)
    weights, targets = grad_vac_weights(
        rows @ rows.t(), others, torch.zeros(4, 4).double(), momentum=0.)
    torch.testing.assert_close(
        weights, pcgrad_weights(rows @ rows.t(), others))
    assert not targets.any()


@pytest.mark.parametrize('tasks, kind', CASES)
def test_imtl_has_equal_projections(tasks, kind):
    rows = gradients(tasks, kind)
    weights = imtl_g_weights(rows @ rows.t())
    assert weights.sum().item() == pytest.approx(1)
    combined = weights @ rows
    projections = rows @ combined / rows.norm(dim=1)
    torch.testing.assert_close(
        projections, projections.mean().expand(tasks), rtol=1e-5, atol=1e-6)
    # The paper's closed form, which singles out the first task.
    units = rows / rows.norm(dim=1, keepdim=True)
    d, u = rows[0] - rows[1:], units[0] - units[1:]
    rest = rows[0] @ u.t() @ torch.linalg.inv(d @ u.t())
    torch.testing.assert_close(weights[1:], rest, rtol=1e-4, atol=1e-6)


def test_grad_norm_scale_makes_gradients_equally_long():
    rows = gradients(3, 'uneven')
    balancer = with_tasks(GradNormScale(momentum=1.), 3)
    step(balancer, rows)
    weights = balancer.last_weights
    lengths = weights * rows.norm(dim=1)
    torch.testing.assert_close(lengths, lengths.mean().expand(3))
    assert weights.sum().item() == pytest.approx(3)
    balancer = with_tasks(GradNormScale(momentum=0.5), 3)
    step(balancer, rows)
    step(balancer, rows[[2, 1, 0]])
    lengths = rows.norm(dim=1)
    running = (lengths + lengths[[2, 1, 0]]) / 2
    expected = 3 / running / (1 / running).sum()
    torch.testing.assert_close(balancer.last_weights, expected)


def test_grad_norm_goes_down_the_gradient_of_equation_2():
    rows = gradients(3, 'uneven')
    ratios = torch.tensor([0.5, 1.2, 0.9]).double()
    scores = torch.tensor([0.3, -0.2, 0.1]).double().requires_grad_()
    pulled = 3 * scores.softmax(0) * rows.norm(dim=1)
    mean = pulled.detach().mean()
    aim = mean * (ratios / ratios.mean())**1.5
    ((pulled - aim).abs().sum() / mean).backward()
    weights, new = grad_norm_weights(
        rows @ rows.t(), scores.detach(), ratios, alpha=1.5, lr=0.1)
    torch.testing.assert_close(weights, 3 * scores.detach().softmax(0))
    torch.testing.assert_close(new, scores.detach() - 0.1 * scores.grad)


@pytest.mark.parametrize('factor', [1., 100.])
def test_grad_norm_brings_lengths_to_what_progress_asks_for(factor):
    rows = gradients(2, 'plain')
    rows = rows / rows.norm(dim=1, keepdim=True)
    rows[0] *= factor
    balancer = with_tasks(ALL['gradnorm'](), 2)
    step(balancer, rows, [4. * factor, 2.])
    for _ in range(600):
        step(balancer, rows, [2. * factor, 2.])
    lengths = balancer.last_weights * rows.norm(dim=1)
    # The relative ratios are 2/3 and 4/3; both cannot be met at once, since
    # their powers do not add up to 2, but the second one is pulled longer.
    assert 2 < (lengths[1] / lengths[0]).item() < 4


def test_grad_norm_waits_for_the_queues():
    queue = RingQueue(2, 4)
    balancer = with_tasks(GradNorm(initial_iters=2), 2, [queue])
    rows = gradients(2, 'uneven')
    for losses in ([9., 9.], [8., 9.]):  # not full: these do not count
        step(balancer, rows, losses)
    queue.enqueue(torch.ones(4, 2))
    step(balancer, rows, [4., 2.])
    step(balancer, rows, [2., 2.])
    torch.testing.assert_close(balancer.initial,
                               torch.tensor([3., 2.]).double())
    assert torch.equal(balancer.scores, torch.zeros(2).double())
    step(balancer, rows, [3., 2.])
    assert balancer.scores[0] > balancer.scores[1]


def test_grad_norm_starts_from_losses_that_are_numbers():
    balancer = with_tasks(GradNorm(initial_iters=3, begin_iter=0), 2)
    rows = gradients(2, 'plain')
    for losses in ([4., 2.], [math.inf, math.nan], [2., 0.]):
        step(balancer, rows, losses)
    torch.testing.assert_close(balancer.initial,
                               torch.tensor([3., 1.]).double())


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('balancer', [
    GradNorm(initial_iters=1, begin_iter=0), MGDA(normalise='loss')],
    ids=['gradnorm', 'mgda'])
def test_a_loss_that_is_no_number_spoils_nothing(balancer, value):
    balancer = with_tasks(copy.deepcopy(balancer), 2)
    rows = gradients(2, 'uneven')
    for _ in range(3):
        step(balancer, rows, [4., 2.])
    balancer({n: dict(loss=torch.tensor(v).double())
              for n, v in zip(balancer.names, (value, 2.))})
    weights = balancer.combine(rows @ rows.t())
    assert weights.isfinite().all()
    assert all(b.isfinite().all() for b in balancer.buffers())


def test_weights_that_are_no_numbers_are_a_plain_sum():

    class Broken(GradientBalancer):

        def weights(self, gram):
            return torch.tensor([1., math.nan]).to(gram)

    balancer = with_tasks(Broken(), 2)
    rows = gradients(2, 'plain')
    torch.testing.assert_close(step(balancer, rows), rows.sum(0))
    assert torch.equal(balancer.last_weights, torch.ones(2).double())


def test_imtl_shares_between_nearly_parallel_gradients():
    """What rounding to float32 leaves between them says nothing."""
    row = gradients(1, 'plain', length=2000)
    rows = row + 1e-6 * gradients(3, 'plain', length=2000)
    gram = (rows.float() @ rows.float().t()).double()
    weights = imtl_g_weights(gram)
    torch.testing.assert_close(weights, torch.full((3, ), 1 / 3).double(),
                               rtol=.1, atol=0)


def test_cagrad_is_exact_for_lengths_far_apart():
    """The worst task's gradient is 10,000 times shorter than the other."""
    rows = torch.tensor([[1e4, 0., 0.], [-.6, .8, 0.]]).double()
    for gram in (rows @ rows.t(), (rows.float() @ rows.float().t()).double()):
        found = torch.from_numpy(cagrad_weights(gram.numpy(), .5)) @ rows
        mean = rows.mean(0)
        shares = np.concatenate([np.linspace(0, 1e-3, 100001),
                                 np.linspace(1e-3, 1, 1001)])
        worst = shares[:, None] * rows[0].numpy() + (
            1 - shares[:, None]) * rows[1].numpy()
        radius = .5 * mean.norm().item()
        value = worst @ mean.numpy() + radius * np.linalg.norm(worst, axis=1)
        best = worst[value.argmin()]
        wanted = mean + radius * torch.from_numpy(
            best / np.linalg.norm(best))
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1.)


def test_two_quadratics_have_the_closed_forms():
    # L_t = |x - c_t|^2 at x; the gradients are 2 (x - c_t).
    x = torch.tensor([1., 2.]).double()
    centres = torch.tensor([[0., 0.], [4., 0.]]).double()
    rows = 2 * (x - centres)  # (2, 4) and (-6, 4)
    gram = rows @ rows.t()
    # The segment between the gradients is nearest to 0 at (0, 4), a quarter
    # of the way from the first to the second.
    torch.testing.assert_close(
        mgda_weights(gram), torch.tensor([0.75, 0.25]).double())
    # They do not conflict (4 is the inner product): a plain sum.
    torch.testing.assert_close(
        pcgrad_weights(gram, all_others(2)), torch.ones(2).double())
    # From (1, 0) they do: each loses all of itself, since they are parallel.
    rows = 2 * (torch.tensor([1., 0.]).double() - centres)
    found = pcgrad_weights(rows @ rows.t(), all_others(2)) @ rows
    torch.testing.assert_close(found, torch.zeros(2).double())
    # MGDA stops there too, since the point is Pareto optimal.
    found = mgda_weights(rows @ rows.t()) @ rows
    torch.testing.assert_close(found, torch.zeros(2).double())
    # Going down MGDA's gradient ends on the segment between the centres.
    point = torch.tensor([1., 2.]).double()
    for _ in range(200):
        rows = 2 * (point - centres)
        point = point - 0.1 * mgda_weights(rows @ rows.t()) @ rows
    torch.testing.assert_close(
        point, torch.tensor([1., 0.]).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', sorted(ALL))
def test_weights_do_not_feel_a_common_factor(name):
    plain, scaled = (with_tasks(ALL[name](), 4) for _ in range(2))
    for seed in range(5):
        rows = gradients(4, 'conflict', seed)
        one = step(plain, rows)
        other = step(scaled, 2.**16 * rows)
        torch.testing.assert_close(2.**16 * one, other, rtol=1e-9, atol=1e-6)
    assert name == 'sum' or not torch.allclose(
        plain.last_weights, torch.ones(4).double())


# What a factor of one loss alone does: nothing to the direction ('direction')
# or something ('feels it').
@pytest.mark.parametrize('name, kept', [
    ('sum', False), ('pcgrad', False), ('mgda', False), ('cagrad', False),
    ('vac', False), ('scale', True), ('imtl', True), ('gradnorm', True)
])
def test_a_factor_of_one_loss(name, kept):
    directions = []
    for factor in (1., 100.):
        balancer = with_tasks(ALL[name](), 3)
        rows = gradients(3, 'conflict')
        rows[0] *= factor
        for _ in range(1500 if name == 'gradnorm' else 1):
            found = step(balancer, rows, [factor, 1., 1.])
        directions.append(found / found.norm())
    cosine = (directions[0] @ directions[1]).item()
    # GradNorm learns its weights, and swings around them by its step.
    assert (cosine > (0.995 if name == 'gradnorm' else 1 - 1e-9)) == kept


@pytest.mark.parametrize('name', sorted(ALL))
def test_a_task_alone_has_weight_one(name):
    balancer = with_tasks(ALL[name](), 1)
    rows = gradients(1, 'plain')
    for _ in range(3):
        assert torch.equal(step(balancer, rows), rows[0])


@pytest.mark.parametrize('name', sorted(ALL))
def test_a_task_without_gradient_is_left_out(name):
    rows = gradients(3, 'conflict')
    silent = torch.cat([rows, torch.zeros_like(rows[:1])])
    with_it, without = with_tasks(ALL[name](), 4), with_tasks(ALL[name](), 3)
    for _ in range(3):
        if name in ('pcgrad', 'vac'):
            # The drawn orders differ; what counts is that it is finite.
            assert step(with_it, silent).isfinite().all()
            continue
        torch.testing.assert_close(
            step(with_it, silent, [1., 2., 3., 4.]),
            step(without, rows, [1., 2., 3.]))
    lonely = torch.cat([rows[:1], torch.zeros_like(rows[:1])])
    balancer = with_tasks(ALL[name](), 2)
    for _ in range(3):
        torch.testing.assert_close(step(balancer, lonely), rows[0])


@pytest.mark.parametrize('balancer', [
    GradNorm(initial_iters=1, begin_iter=0), MGDA(normalise='loss'),
    MGDA(normalise='loss+')], ids=['gradnorm', 'loss', 'loss+'])
def test_a_task_of_loss_0_is_left_out(balancer):
    rows = torch.tensor([[3., 0, 0], [0, 1, 0], [0, 0, 0]]).double()
    found = []
    for tasks in (2, 3):
        each = with_tasks(copy.deepcopy(balancer), tasks)
        for _ in range(4):
            combined = step(each, rows[:tasks], [2., 1., 0.][:tasks])
        found.append(combined)
    assert not torch.equal(found[0], rows.sum(0))
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize('scale', [1., .3, .1])
def test_imtl_goes_uphill_on_nobody(scale):
    """One gradient between the two others, where nothing conflicts."""
    first, second, noise = torch.randn(3, 40).double()
    rows = torch.stack([first, second, scale * (first + second + .1 * noise)])
    weights = imtl_g_weights(rows @ rows.t())
    projections = rows @ (weights @ rows) / rows.norm(dim=1)
    assert projections.min() > 0
    torch.testing.assert_close(
        projections, projections[:1].expand(3), rtol=1e-4, atol=0)


@pytest.mark.parametrize('broken', [float('nan'), float('inf'), 0.])
@pytest.mark.parametrize('name', sorted(ALL))
def test_an_unusable_gram_matrix_is_a_plain_sum(name, broken):
    balancer = with_tasks(ALL[name](), 3)
    for seed in range(3):
        step(balancer, gradients(3, 'conflict', seed))
    before = {k: v.clone() for k, v in balancer.named_buffers()}
    balancer.eval()({n: dict(loss=torch.tensor(1.)) for n in balancer.names})
    gram = torch.full((3, 3), broken) if broken == 0 else torch.eye(3)
    gram[1, 2] = gram[2, 1] = broken
    weights = balancer.combine(gram)
    assert weights is None or torch.equal(weights.float(), torch.ones(3))
    for key, value in before.items():
        assert torch.equal(value, dict(balancer.named_buffers())[key]), key


@pytest.mark.parametrize('name', sorted(ALL))
def test_a_resumed_balancer_gives_the_same_next_weights(name):
    through = with_tasks(ALL[name](), 4)
    for seed in range(4):
        step(through, gradients(4, 'conflict', seed), [1., 2., 3., 4. + seed])
    resumed = with_tasks(ALL[name](), 4)
    resumed.load_state_dict(through.state_dict())
    for seed in range(4, 8):
        rows = gradients(4, 'conflict', seed)
        assert torch.equal(
            step(through, rows, [1., 2., 3., 1.]),
            step(resumed, rows, [1., 2., 3., 1.]))
        assert torch.equal(through.last_weights, resumed.last_weights)


def test_orders_change_with_the_step_and_only_in_training():
    balancer = with_tasks(PCGrad(), 5)
    losses = {n: dict(loss=torch.tensor(1.)) for n in balancer.names}
    cpu = torch.device('cpu')
    drawn = []
    for _ in range(3):
        balancer(losses)
        drawn.append(balancer.others(cpu))
        balancer.eval()(losses)
        assert torch.equal(balancer.others(cpu), drawn[-1])
        balancer.train()
    assert not torch.equal(drawn[0], drawn[1])
    for order in drawn:
        for t in range(5):
            assert sorted(order[t].tolist() + [t]) == list(range(5))
