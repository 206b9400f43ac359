# Copyright (c) mmmultissl contributors. All rights reserved.
"""Loss-level balancers against their papers' formulas."""
import math

import pytest
import torch

from mmmultissl.models.balancers import (MGDA, DynamicTaskPrioritisation,
                                         DynamicWeightAverage, FixedWeights,
                                         GeometricMean, GradNorm,
                                         RandomLossWeights, UncertaintyWeights)
from mmmultissl.models.utils import RingQueue

from . import golden

NAMES = ['a', 'b', 'c']


def with_tasks(balancer, names=NAMES, queues=()):
    balancer.set_tasks(list(names))
    balancer.set_queues(queues)
    return balancer.train()


def losses_of(*values, **more):
    """Task losses; the second half of the last one is an entry of its own."""
    found = {n: dict(loss=torch.tensor(v)) for n, v in zip(NAMES, values)}
    last = found[NAMES[len(values) - 1]]
    last['loss_dense'] = 0.5 * last['loss']
    last['loss'] = 0.5 * last['loss']
    for n in found:
        found[n].update({k: torch.tensor(v) for k, v in more.items()})
    return found


def weights_of(balancer, losses):
    out = balancer(losses)
    for name, entries in losses.items():
        for key, value in entries.items():
            weight = out[name]['weight'].to(value)
            expected = value * weight if 'loss' in key else value
            torch.testing.assert_close(out[name][key], expected)
    return torch.stack([out[name]['weight'] for name in balancer.names])


def test_geometric_mean_has_its_value_and_its_gradient():
    balancer = with_tasks(GeometricMean())
    x = torch.tensor([1.2, 0.3, 2.5], requires_grad=True)
    losses = {n: dict(loss=v**2) for n, v in zip(NAMES, x)}
    value = sum(e['loss'] for e in balancer(losses).values())
    mean = (x**2).prod()**(1 / 3)
    torch.testing.assert_close(value, mean)
    torch.testing.assert_close(
        torch.autograd.grad(value, x)[0],
        torch.autograd.grad(mean, x)[0])


def test_geometric_mean_keeps_shares_when_a_loss_is_multiplied():
    shares = []
    for factor in (1., 100.):
        losses = losses_of(2. * factor, 3., 5.)
        weights = weights_of(with_tasks(GeometricMean()), losses)
        pull = weights * torch.tensor([2. * factor, 3., 5.])
        shares.append(pull / pull.sum())
    torch.testing.assert_close(shares[0], shares[1])


def test_geometric_mean_refuses_negative_losses():
    with pytest.raises(ValueError, match='"b" is -1, .*positive losses'):
        with_tasks(GeometricMean())(losses_of(1., -1., 2.))


@pytest.mark.parametrize('balancer', [
    DynamicWeightAverage(interval=2),
    GradNorm(begin_iter=0),
    MGDA(normalise='loss'),
    MGDA(normalise='loss+')
])
def test_ratios_of_negative_losses_are_refused(balancer):
    """A negative loss that falls would look like one that rises."""
    balancer = with_tasks(balancer).train()
    with pytest.raises(ValueError, match='"b" is -1, .*positive losses'):
        balancer(losses_of(1., -1., 2.))
    balancer(losses_of(1., 0., 2.))
    # Once, since reading a number makes the device wait.
    balancer(losses_of(1., -1., 2.))


def test_mgda_without_losses_takes_negative_ones():
    with_tasks(MGDA())(losses_of(1., -1., 2.))


def test_uncertainty_ends_where_the_variance_is_the_loss():
    balancer = with_tasks(UncertaintyWeights())
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.5)
    values = (0.5, 3., 40.)
    for _ in range(300):
        total = sum(v for e in balancer(losses_of(*values)).values()
                    for k, v in e.items() if 'loss' in k)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    torch.testing.assert_close(balancer.log_variance.detach().exp(),
                               torch.tensor(values))
    expected = sum(0.5 + 0.5 * math.log(v) for v in values)
    assert total.item() == pytest.approx(expected, rel=1e-5)


def test_uncertainty_of_a_loss_of_0_stays_a_number_and_comes_back():
    balancer = with_tasks(UncertaintyWeights(lowest=-3.), NAMES[:2]).train()
    optimizer = torch.optim.SGD(balancer.parameters(), lr=.5)

    def steps(count, first):
        for _ in range(count):
            out = balancer(losses_of(first, 1.))
            total = sum(v for each in out.values()
                        for n, v in each.items() if 'loss' in n)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        assert total.isfinite()
        return balancer.log_variance.detach().exp()

    assert steps(100, 0.)[0] < math.exp(-3.) + 1e-6
    torch.testing.assert_close(
        steps(300, 1.).float(), torch.ones(2), rtol=1e-2, atol=0)
    with pytest.raises(ValueError, match='raise start'):
        UncertaintyWeights(start=-4., lowest=-3.)


def test_uncertainty_at_the_start_is_its_formula():
    balancer = with_tasks(UncertaintyWeights(start=0.7))
    out = balancer(losses_of(2., 3., 4.))
    half = 0.5 * math.exp(-0.7)
    assert out['a']['loss'].item() == pytest.approx(2 * half)
    assert out['c']['loss_dense'].item() == pytest.approx(2 * half)
    assert out['b']['loss_uncertainty'].item() == pytest.approx(0.35)
    assert not out['b']['weight'].requires_grad


def test_uncertainty_refuses_weight_decay():
    model = golden.build(
        dict(moco=golden.moco_task()),
        balancer=dict(type='mmmultissl.UncertaintyWeights'))
    with pytest.raises(ValueError, match=r"'balancer.log_variance': dict\("):
        model.follow_optimizer(
            torch.optim.SGD(model.parameters(), lr=1., weight_decay=1e-4))
    rest = [p for n, p in model.named_parameters() if 'balancer' not in n]
    model.follow_optimizer(
        torch.optim.SGD([
            dict(params=rest, weight_decay=1e-4),
            dict(params=model.balancer.parameters())
        ], lr=1.))


def test_dynamic_weight_average_follows_equation_7():
    balancer = with_tasks(DynamicWeightAverage(interval=2), NAMES[:2])
    steps = [(4., 1.), (2., 1.), (2., 3.), (1., 1.), (1., 1.), (1., 1.)]
    seen = [weights_of(balancer, losses_of(*s)) for s in steps]
    for weights in seen[:4]:
        assert torch.equal(weights, torch.ones(2))
    means = torch.tensor([[3., 1.], [1.5, 2.]])
    expected = 2 * (means[1] / means[0] / 2.).softmax(0)
    torch.testing.assert_close(seen[4], expected)
    torch.testing.assert_close(seen[5], expected)
    assert seen[4].sum().item() == pytest.approx(2)
    last = weights_of(balancer, losses_of(1., 1.))
    torch.testing.assert_close(
        last, 2 * (torch.tensor([1 / 1.5, 1 / 2.]) / 2).softmax(0))


def test_dynamic_weight_average_does_not_feel_the_size_of_a_loss():
    found = []
    for factor in (1., 100.):
        balancer = with_tasks(DynamicWeightAverage(interval=1), NAMES[:2])
        for step in range(4):
            found.append(weights_of(
                balancer, losses_of(factor * (5. - step), 3.)))
    for one, other in zip(found[:4], found[4:]):
        torch.testing.assert_close(one, other)
    assert not torch.equal(found[3], torch.ones(2))


def test_dynamic_weight_average_of_a_loss_that_is_0():
    balancer = with_tasks(DynamicWeightAverage(interval=1), NAMES[:2])
    for _ in range(4):
        weights = weights_of(balancer, losses_of(2., 0.))
    torch.testing.assert_close(weights, torch.ones(2))


def test_windows_begin_when_the_queues_are_full():
    queue = RingQueue(2, 3)
    waiting = with_tasks(
        DynamicWeightAverage(interval=1), NAMES[:2], queues=[queue])
    timed = with_tasks(DynamicWeightAverage(interval=1, begin_iter=3),
                       NAMES[:2], queues=[RingQueue(2, 99)])
    # The ratio of the losses of steps 3 and 4 is the first that is read.
    losses = [(1., 1.), (5., 1.), (9., 1.), (3., 1.), (6., 1.), (0., 0.)]
    for step, pair in enumerate(losses):
        queue.enqueue(torch.ones(step == 3 and 3 or 0, 2))
        for balancer in (waiting, timed):
            weights = weights_of(balancer, losses_of(*pair))
            if step < 5:
                assert torch.equal(weights, torch.ones(2))
            else:
                torch.testing.assert_close(
                    weights, 2 * torch.tensor([1., 0.5]).softmax(0))


def test_a_pass_is_the_default_window():
    balancer = with_tasks(DynamicWeightAverage(), NAMES[:2])
    with pytest.raises(ValueError, match='set model.balancer.interval'):
        balancer(losses_of(1., 1.))
    balancer.set_pass_length(7)
    balancer(losses_of(1., 1.))
    assert balancer.interval == 7
    named = with_tasks(DynamicWeightAverage(interval=3), NAMES[:2])
    named.set_pass_length(7)
    assert named.interval == 3


def test_random_weights_are_a_function_of_seed_and_step():
    losses = losses_of(1., 2., 3.)
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed + len(runs))
        balancer = with_tasks(RandomLossWeights(seed=seed))
        state = torch.get_rng_state()
        runs.append(torch.stack(
            [weights_of(balancer, losses) for _ in range(400)]))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0][0], runs[2][0])
    torch.testing.assert_close(runs[0].sum(1),
                               torch.full((400, ), 3.).to(runs[0]))
    # Softmax of independent normal numbers: differences of logs are normal
    # with variance 2.
    difference = (runs[0][:, 0] / runs[0][:, 1]).log()
    assert abs(difference.mean()) < 4 * math.sqrt(2 / 400)
    assert difference.var().item() == pytest.approx(2, rel=0.3)


def test_prioritisation_is_the_focal_weight_of_the_accuracy():
    balancer = with_tasks(
        DynamicTaskPrioritisation(
            kpi=dict(b='top1'), gamma=dict(a=2.), momentum=0.25))
    losses = losses_of(1., 2., 3., accuracy=0.5, top1=0.2)
    kappa = torch.tensor([0.5, 0.2, 0.5])
    gamma = torch.tensor([2., 1., 1.])
    torch.testing.assert_close(
        weights_of(balancer, losses), -(1 - kappa)**gamma * kappa.log())
    kappa = kappa * 0.75 + 0.25 * torch.tensor([0.9, 0.4, 0.9])
    torch.testing.assert_close(
        weights_of(balancer, losses_of(1., 2., 3., accuracy=0.9, top1=0.4)),
        -(1 - kappa)**gamma * kappa.log())
    # Judging looks at the running means and leaves them.
    before = balancer.performance.clone()
    balancer.eval()(losses)
    assert torch.equal(balancer.performance, before)


def test_prioritisation_has_no_weight_for_what_is_solved_or_infinite_ones():
    balancer = with_tasks(DynamicTaskPrioritisation(), NAMES[:2])
    weights = weights_of(balancer, {
        'a': dict(loss=torch.tensor(1.), accuracy=torch.tensor(1.)),
        'b': dict(loss=torch.tensor(1.), accuracy=torch.tensor(0.))
    })
    assert weights[0] == 0 and 10 < weights[1] < 20


@pytest.mark.parametrize('losses, message', [
    (losses_of(1., 2., 3.), '"accuracy" of the task "a", which logs none'),
    (losses_of(1., 2., 3., top1=0.5), 'logs top1: name .*balancer.kpi.a'),
    (losses_of(1., 2., 3., accuracy=50.), 'reads 50 .*between 0 and 1'),
])
def test_prioritisation_needs_accuracies(losses, message):
    with pytest.raises(ValueError, match=message):
        with_tasks(DynamicTaskPrioritisation())(losses)


@pytest.mark.parametrize('make, seed', [
    (lambda: DynamicWeightAverage(interval=2), 0),
    (lambda: RandomLossWeights(), 0),
    (lambda: DynamicTaskPrioritisation(), 0),
    (lambda: UncertaintyWeights(), 0),
], ids=['dwa', 'rlw', 'dtp', 'uncertainty'])
def test_a_resumed_balancer_gives_the_same_next_weights(make, seed):
    generator = torch.Generator().manual_seed(seed)
    steps = [
        losses_of(*torch.rand(3, generator=generator).tolist(),
                  accuracy=torch.rand((), generator=generator).item())
        for _ in range(12)
    ]
    through = with_tasks(make())
    for losses in steps[:7]:
        through(losses)
    resumed = with_tasks(make())
    resumed.load_state_dict(through.state_dict())
    for losses in steps[7:]:
        one, other = through(losses), resumed(losses)
        for name in NAMES:
            for key, value in one[name].items():
                assert torch.equal(value, other[name][key])


@pytest.mark.parametrize('kind, weight', [
    ('GeometricMean', 1.), ('RandomLossWeights', 1.),
    ('DynamicWeightAverage', 1.), ('UncertaintyWeights', None)
])
def test_a_task_alone(kind, weight):
    cfg = dict(type=f'mmmultissl.{kind}')
    if kind == 'DynamicWeightAverage':
        cfg.update(interval=1, begin_iter=0)
    plain = golden.build(dict(moco=golden.moco_task()))
    model = golden.build(dict(moco=golden.moco_task()), balancer=cfg)
    model.load_state_dict(plain.state_dict(), strict=False)
    data = list(golden.batches(3))
    losses = golden.train(plain, data)
    if weight == 1:
        torch.testing.assert_close(
            golden.train(model, data), losses, rtol=1e-5, atol=0)
        return
    # exp(-s) / 2 times the loss and s / 2.
    first = golden.train(model, data[:1])
    s = -0.5
    assert first[0].item() == pytest.approx(
        0.5 * math.exp(-s) * losses[0].item() + 0.5 * s, rel=1e-5)


@pytest.mark.parametrize('settings, message', [
    (dict(gamma=-1), 'the gamma -1: set a number of 0 or more'),
    (dict(gamma=dict(b='x')), "the gamma 'x': set"),
    (dict(gamma=dict(d=1)), 'balancer.gamma names d, but the tasks are a, b'),
    (dict(kpi=dict(d='top1')), 'balancer.kpi names d, but the tasks are a'),
])
def test_prioritisation_takes_names_and_numbers(settings, message):
    with pytest.raises(ValueError, match=message):
        with_tasks(DynamicTaskPrioritisation(**settings))


@pytest.mark.parametrize('weights, message', [
    (['a'], "balancer.weights is .*'a'.*, but must be a dict"),
    (dict(a='1'), "gives a the weight '1': set a number"),
    (dict(a=-1), 'gives a the weight -1: set a number of 0 or more'),
])
def test_fixed_weights_are_numbers_of_0_or_more(weights, message):
    with pytest.raises(ValueError, match=message):
        FixedWeights(weights)


def test_grad_norm_does_not_reward_what_is_slow():
    with pytest.raises(ValueError, match='alpha=-1: set'):
        GradNorm(alpha=-1)
