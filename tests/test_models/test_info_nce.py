# Copyright (c) mmmultissl contributors. All rights reserved.
"""InfoNCE against mmpretrain's ContrastiveHead and against its definition."""
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import ContrastiveHead

from mmmultissl.models import InfoNCE, info_nce


def draw(rows=24, dim=16, length=700, dtype=torch.float32):
    query = F.normalize(torch.randn(rows, dim, dtype=dtype), dim=1)
    key = F.normalize(query + 0.3 * torch.randn(rows, dim, dtype=dtype), dim=1)
    queue = F.normalize(torch.randn(dim, length, dtype=dtype), dim=0)
    return query, key, queue


def both(query, key, queue, temperature, chunk=None):
    """Loss and gradients of ours and of mmpretrain's head."""
    results = []
    head = ContrastiveHead(
        dict(type='CrossEntropyLoss', _scope_='mmpretrain'), temperature)
    for ours in (True, False):
        q = query.clone().requires_grad_()
        k = key.clone().requires_grad_()
        positive = torch.einsum('nc,nc->n', [q, k])
        if ours:
            loss = info_nce(q, positive, queue, temperature, chunk).mean()
        else:
            loss = head.loss(positive.unsqueeze(-1), q @ queue)
        loss.backward()
        results.append((loss.detach(), q.grad, k.grad))
    return results


@pytest.mark.parametrize('temperature', [0.01, 0.07, 0.2, 1.])
@pytest.mark.parametrize('chunk', [64, 256, 699, 700, 5000, None])
def test_equals_contrastive_head(temperature, chunk):
    ours, theirs = both(*draw(), temperature, chunk)
    for mine, peer in zip(ours, theirs):
        error = (mine - peer).norm() / peer.norm()
        # Logits of 1/temperature carry a float32 rounding of that size into
        # the exponential, in the peer as well.
        assert error < max(1e-6, 3e-8 / temperature)


@pytest.mark.parametrize('chunk', [1, 100])
def test_equals_contrastive_head_in_float64(chunk):
    ours, theirs = both(*draw(dtype=torch.float64), 0.07, chunk)
    for mine, peer in zip(ours, theirs):
        torch.testing.assert_close(mine, peer, rtol=1e-12, atol=1e-14)


def test_gradcheck():
    query, key, queue = draw(5, 4, 30, torch.float64)
    positive = (query * key).sum(1)
    assert torch.autograd.gradcheck(
        lambda q, p: info_nce(q, p, queue, 0.2, 7),
        (query.requires_grad_(), positive.requires_grad_()))


def test_rows_may_be_weighted():
    query, key, queue = draw(dtype=torch.float64)
    weights = torch.rand(len(query), dtype=torch.float64)
    query.requires_grad_()
    (info_nce(query, (query * key).sum(1), queue, 0.2) * weights).sum() \
        .backward()
    got, query.grad = query.grad, None
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue], 1)
    target = torch.zeros(len(query), dtype=torch.long)
    (F.cross_entropy(logits / 0.2, target, reduction='none') *
     weights).sum().backward()
    torch.testing.assert_close(got, query.grad, rtol=1e-10, atol=1e-12)


def test_large_logits_do_not_overflow():
    query, key, queue = draw()
    loss = info_nce(1e4 * query, (1e4 * query * key).sum(1), queue, 0.01)
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue], 1)
    expected = logits.double() * 1e6
    expected = expected.logsumexp(1) - expected[:, 0]
    torch.testing.assert_close(
        loss.double(), expected, rtol=1e-4, atol=1.)
    assert torch.isfinite(loss).all()


def test_is_computed_in_float32_under_autocast():
    query, key, queue = draw(dtype=torch.float64)
    half = query.bfloat16().requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = info_nce(half, (half * key.bfloat16()).sum(1), queue.float())
    loss.sum().backward()
    exact = half.detach().double().requires_grad_()
    positive = (half * key.bfloat16()).sum(1).detach().double()
    reference = info_nce(exact, positive + 0 * exact.sum(1), queue)
    reference.sum().backward()
    assert loss.dtype == torch.float32 and half.grad.dtype == torch.bfloat16
    # bfloat16 products would be wrong in the second digit.
    torch.testing.assert_close(
        loss.double(), reference, rtol=1e-6, atol=1e-6)


def test_queue_may_change_before_backward():
    query, key, queue = draw()
    grads = []
    for overwrite in (False, True):
        memory, q = queue.clone(), query.clone().requires_grad_()
        loss = InfoNCE(0.2)(q, (q * key).sum(1), memory)
        if overwrite:
            memory.zero_()
        loss.backward()
        grads.append(q.grad)
    assert torch.equal(*grads)


def test_keeps_no_tensor_of_the_size_of_the_logits():
    query, key, queue = draw(rows=64, length=20_000)
    sizes = []

    class Recorder(torch.utils._python_dispatch.TorchDispatchMode):

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                sizes.append(out.untyped_storage().nbytes())
            return out

    query.requires_grad_()
    with Recorder():
        InfoNCE(chunk=256)(query, (query * key).sum(1), queue).backward()
    views_of_queue = queue.untyped_storage().nbytes()
    logits = 64 * 20_000 * 4
    assert max(s for s in sizes if s != views_of_queue) < logits / 50


@pytest.mark.parametrize('arguments, message', [
    (dict(temperature=0.), 'temperature of InfoNCE is 0.0'),
    (dict(queue=torch.zeros(3, 9)), r'pass \(N, C\)'),
    (dict(positive=torch.zeros(2, 1)), r'pass \(N, C\)'),
    (dict(chunk=0), 'chunk=0: pass at least'),
    (dict(chunk=-1), 'chunk=-1: pass at least'),
    (dict(query=torch.zeros(0, 4), positive=torch.zeros(0)), 'got 0 rows'),
])
def test_wrong_arguments_are_explained(arguments, message):
    query, key, queue = draw(2, 4, 8)
    given = dict(
        query=query, positive=(query * key).sum(1), queue=queue, **{})
    given.update(arguments)
    with pytest.raises(ValueError, match=message):
        info_nce(**given)
