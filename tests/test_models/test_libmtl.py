# Copyright (c) mmmultissl contributors. All rights reserved.
"""The same combinations as LibMTL's, where it is installed.

``pip install --no-deps LibMTL==1.1.5``; nothing but this file reads it.
"""
import importlib
import importlib.util
import random
import sys
import types

import pytest
import torch

from mmmultissl.models.balancers.cagrad import cagrad_weights
from mmmultissl.models.balancers.grad_vac import grad_vac_weights
from mmmultissl.models.balancers.imtl_g import imtl_g_weights
from mmmultissl.models.balancers.mgda import mgda_weights
from mmmultissl.models.balancers.pcgrad import pcgrad_weights

FOUND = importlib.util.find_spec('LibMTL')
pytestmark = pytest.mark.skipif(FOUND is None, reason='needs LibMTL')


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    # Its __init__ imports from torchvision what newer ones have no more; the
    # files that are wanted do not.
    for name in ('LibMTL', 'LibMTL.weighting'):
        package = types.ModuleType(name)
        package.__path__ = [
            f'{place}{name[len("LibMTL"):].replace(".", "/")}'
            for place in FOUND.submodule_search_locations
        ]
        monkeypatch.setitem(sys.modules, name, package)


@pytest.fixture(autouse=True)
def double():
    # LibMTL makes its tensors in the default type.
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def rows_of(tasks, seed):
    rows = torch.randn(
        tasks, 50, generator=torch.Generator().manual_seed(seed))
    rows[0] -= 0.6 * rows[1:].sum(0)
    return rows


def peer(kind, tasks, rep_grad):
    module = importlib.import_module(f'LibMTL.weighting.{kind}')
    found = getattr(module, kind)()
    found.task_num, found.device = tasks, torch.device('cpu')
    found.task_name = [f't{t}' for t in range(tasks)]
    found.rep_grad = rep_grad
    return found


def on_parameters(kind, rows, **kwargs):
    """What it makes of gradients of a shared parameter."""
    theta = torch.nn.Parameter(torch.zeros(rows.size(1)))
    theta.grad = torch.zeros_like(theta)
    method = peer(kind, len(rows), False)
    method.get_share_params = lambda: [theta]
    method.zero_grad_share_params = lambda: theta.grad.zero_()
    method.backward(torch.stack([row @ theta for row in rows]), **kwargs)
    return theta.grad


def on_features(kind, rows, **kwargs):
    """What it makes of gradients of a representation, of one sample: it adds
    those of a batch up before it compares them."""
    theta = torch.nn.Parameter(torch.zeros(1, rows.size(1)))
    method = peer(kind, len(rows), True)
    method.rep = theta * 1.
    method.rep_tasks = {
        name: method.rep.detach().clone().requires_grad_()
        for name in method.task_name
    }
    if kind == 'IMTL':
        method.loss_scale = torch.nn.Parameter(torch.zeros(len(rows)))
    method.backward(
        torch.stack([(method.rep_tasks[name] * row).sum()
                     for name, row in zip(method.task_name, rows)]), **kwargs)
    return theta.grad[0]


def their_orders(tasks, with_self):
    random.seed(3)
    orders = []
    for t in range(tasks):
        order = [u for u in range(tasks) if with_self or u != t]
        random.shuffle(order)
        orders.append([u for u in order if u != t])
    random.seed(3)
    return torch.tensor(orders)


@pytest.mark.parametrize('tasks', [2, 3, 8])
def test_pcgrad_and_grad_vac(tasks):
    rows = rows_of(tasks, 0)
    orders = their_orders(tasks, with_self=True)
    theirs = on_parameters('PCGrad', rows)
    torch.testing.assert_close(
        pcgrad_weights(rows @ rows.t(), orders) @ rows, theirs)
    orders = their_orders(tasks, with_self=False)
    theirs = on_parameters('GradVac', rows, beta=0.5)
    weights, _ = grad_vac_weights(
        rows @ rows.t(), orders, torch.zeros(tasks, tasks), 0.5)
    torch.testing.assert_close(weights @ rows, theirs)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('tasks', [2, 3, 8])
def test_mgda_is_never_longer(tasks, seed):
    rows = rows_of(tasks, seed)
    theirs = on_features('MGDA', rows, mgda_gn='none')
    ours = mgda_weights(rows @ rows.t()) @ rows
    assert ours.norm() <= theirs.norm() * (1 + 1e-12)
    if tasks == 2:
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('tasks', [2, 3, 8])
def test_imtl(tasks):
    rows = rows_of(tasks, 1)
    torch.testing.assert_close(
        imtl_g_weights(rows @ rows.t()) @ rows, on_features('IMTL', rows),
        rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize('rescale, divisor', [(0, 1.), (1, 1.25), (2, 1.5)])
def test_cagrad_of_three_tasks(rescale, divisor):
    # LibMTL 1.1.5 writes the number of tasks, 3, into its objective.
    rows = rows_of(3, 2)
    theirs = on_parameters('CAGrad', rows, calpha=0.5, rescale=rescale)
    weights = torch.from_numpy(cagrad_weights((rows @ rows.t()).numpy(), 0.5))
    torch.testing.assert_close(
        weights @ rows / divisor, theirs, rtol=1e-3, atol=1e-3)
