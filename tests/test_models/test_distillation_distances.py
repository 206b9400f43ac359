# Copyright (c) mmmultissl contributors. All rights reserved.
"""Distillation distances against closed forms and other libraries."""
import copy
import itertools
import math
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from sklearn.metrics.pairwise import cosine_similarity

from mmmultissl.models import losses as L
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import leave_processes

from .test_distributed import free_port
from .test_no_host_wait import WAITING, Recorder

N, C, K = 6, 5, 16
QUEUED = dict(
    ContrastiveDistance=dict(queue_len=K, feat_dim=C),
    QueueSimilarityDistance=dict(queue_len=K, feat_dim=C),
    CRDDistance=dict(queue_len=K, feat_dim=C))
NAMES = sorted(
    name for name in L.__all__
    if name.endswith('Distance') and name != 'DistillationDistance')
# Those that are 0 where the student is the teacher.
ZERO = sorted(set(NAMES) - {'ContrastiveDistance', 'CRDDistance'})


def make(name, **kwargs):
    kwargs = dict(QUEUED.get(name, {}), **kwargs)
    if name == 'QueueSimilarityDistance':
        kwargs.setdefault('teacher_temperature', 0.2)
    return MODELS.build(dict(type=f'mmmultissl.{name}', **kwargs)).double()


def pooled(seed=0, channels=C, count=N):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        count, channels, dtype=torch.float64, generator=generator)


def dense(seed=0, channels=C):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(
        N, channels, 2, 3, dtype=torch.float64, generator=generator)


def features(distance, seed):
    return pooled(seed) if 'pooled' in distance.layouts else dense(seed)


def rotation(channels=C):
    return torch.linalg.qr(pooled(9, channels, channels))[0]


def close(a, b, **kwargs):
    torch.testing.assert_close(
        torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(
            b, dtype=torch.float64), **kwargs)


def test_all_distances_are_here():
    assert len(NAMES) == 10


# What all of them promise.


@pytest.mark.parametrize('name', NAMES)
def test_only_the_student_gets_a_gradient(name):
    distance = make(name)
    student = features(distance, 0).requires_grad_()
    teacher = features(distance, 1).requires_grad_()
    value = distance(student, teacher)
    value.backward()
    assert value.dim() == 0 and value.item() > 0
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize('name', NAMES)
def test_gradient_is_that_of_the_value(name):
    distance = make(name).eval()
    teacher = features(distance, 1)
    if name == 'CRDDistance':
        for _ in range(K):  # Z is set once
            distance.train()(features(distance, 2), teacher)
        distance.eval()
    assert torch.autograd.gradcheck(
        lambda s: distance(s, teacher), features(distance, 0).requires_grad_())


@pytest.mark.parametrize('name', ZERO)
def test_nothing_between_student_and_itself(name):
    distance = make(name)
    student = features(distance, 0).requires_grad_()
    value = distance(student, student.detach())
    value.backward()
    close(value, 0., rtol=0, atol=1e-12)
    close(student.grad, torch.zeros_like(student), rtol=0, atol=1e-9)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('autocast', [False, True])
def test_bfloat16_features_are_compared_in_float32(name, autocast):
    distance = make(name).float()
    start = copy.deepcopy(distance)
    student = features(distance, 0).bfloat16()
    teacher = features(distance, 1).bfloat16()
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        value = distance(student, teacher)
    assert value.dtype == torch.float32
    wanted = start.double()
    close(value, wanted(student.double(), teacher.double()),
          rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', NAMES)
def test_a_device_does_not_wait(name):
    distance = make(name)
    student = features(distance, 0).requires_grad_()
    teacher = features(distance, 1)
    distance(student, teacher)  # CRD's Z is set in the first step
    with Recorder() as recorder:
        distance(student, teacher).backward()
    assert len(recorder.names) > 5
    assert not WAITING & set(recorder.names)


@pytest.mark.parametrize('name', NAMES)
def test_unlike_features_are_explained(name):
    distance = make(name)
    mine = features(distance, 0)
    with pytest.raises(ValueError, match='same samples'):
        distance(mine, mine[:-1])
    if distance.same_channels:
        with pytest.raises(ValueError, match='in_channels=5, out_channels=4'):
            distance(mine, mine[:, :-1])
    other = pooled() if 'pooled' not in distance.layouts else dense()
    if len(distance.layouts) == 1:
        with pytest.raises(ValueError, match='set features='):
            distance(other, other)
    elif distance.same_size:
        with pytest.raises(ValueError, match='differ in size'):
            distance(dense(), dense()[..., :-1])


@pytest.mark.parametrize('cfg, words', [
    (dict(type='CRDDistance', feat_dim=8, queue_len=4), '8 and 8 channels'),
    (dict(type='CRDDistance', in_channels=(4, 6), queue_len=4),
     'made for 4 and 6 channels'),
    (dict(type='QueueSimilarityDistance', feat_dim=8, queue_len=4),
     'made for 8 and 8 channels: set in_channels of the distance'),
    (dict(type='ContrastiveDistance', feat_dim=8, queue_len=4),
     'made for 8 and 8 channels'),
])
def test_features_of_another_width_are_explained(cfg, words):
    distance = MODELS.build(cfg)
    with pytest.raises(ValueError, match=words):
        distance(torch.randn(3, 4), torch.randn(3, 4))


def test_embeddings_are_of_two_encoders():
    with pytest.raises(ValueError, match='in_channels=512: set the channels'):
        MODELS.build(dict(type='CRDDistance', in_channels=512))


# Each by itself.


def test_euclidean_is_twice_one_less_the_cosine():
    student, teacher = pooled(0), pooled(1)
    close(
        L.EuclideanDistance()(student, teacher),
        2 - 2 * F.cosine_similarity(student, teacher).mean())
    close(L.EuclideanDistance()(student, -3 * student), 4.)


def test_euclidean_is_lightlys_cosine():
    theirs = pytest.importorskip('lightly.loss').NegativeCosineSimilarity()
    student, teacher = pooled(0), pooled(1)
    close(
        L.EuclideanDistance()(student, teacher),
        2 + 2 * theirs(student, teacher))


def test_dense_euclidean_is_the_mean_over_cells():
    student, teacher = dense(0), dense(1)
    cells = [L.EuclideanDistance()(student[..., h, w], teacher[..., h, w])
             for h in range(2) for w in range(3)]
    close(L.EuclideanDistance()(student, teacher), sum(cells) / 6)


def test_hint_is_the_mean_square():
    close(L.HintDistance()(dense(0), dense(1)),
          (dense(0) - dense(1)).square().mean())


def test_kd_is_invariant_to_shifts_and_scales_as_it_should():
    student, teacher = pooled(0), pooled(1)
    value = L.KDDistance(temperature=3.)(student, teacher)
    p, q = (torch.softmax(x / 3, 1) for x in (teacher, student))
    close(value, 9 * (p * (p / q).log()).sum(1).mean())
    shift = pooled(2, 1)
    close(L.KDDistance(temperature=3.)(student + shift, teacher - shift),
          value)
    # Logits and temperature scaled alike: only T^2 changes.
    close(L.KDDistance(temperature=6.)(2 * student, 2 * teacher), 4 * value)


def test_kd_gradient_does_not_vanish_at_high_temperature():
    # Hinton, section 2.1: for high T it tends to (s - t) / C for logits of
    # mean 0, per sample.
    student, teacher = (x - x.mean(1, keepdim=True)
                        for x in (pooled(0), pooled(1)))
    student.requires_grad_()
    L.KDDistance(temperature=1e4)(student, teacher).backward()
    close(student.grad * N, (student - teacher).detach() / C,
          rtol=1e-3, atol=1e-4)


def test_attention_sees_where_and_not_how_large():
    student, teacher = dense(0), dense(1, channels=7)
    distance = L.AttentionDistance()
    wanted = 0.
    for s, t in zip(student, teacher):
        a, b = ((x**2).sum(0).reshape(-1) for x in (s, t))
        wanted += ((a / a.norm() - b / b.norm())**2).sum()
    close(distance(student, teacher), wanted / N)
    close(distance(-2 * student, teacher), wanted / N)
    close(distance(student[:, torch.randperm(C)], teacher), wanted / N)
    # All the attention in one place each, and in different ones.
    corner = torch.zeros(1, 3, 2, 2)
    corner[..., 0, 0] = 1
    close(distance(corner, corner.flip(3)), 2.)


def test_similarity_preserving_by_its_formula():
    student, teacher = dense(0), pooled(1, 7)
    teacher_map = teacher[:, :, None, None]
    matrices = []
    for x in (student, teacher_map):
        rows = x.reshape(N, -1)
        matrices.append(F.normalize(rows @ rows.T, dim=1))
    wanted = (matrices[0] - matrices[1]).square().sum() / N**2
    distance = L.SimilarityPreservingDistance()
    close(distance(student, teacher_map), wanted)
    close(distance(pooled(), 3 * pooled() @ rotation()), 0.)


def test_pkt_by_its_formula():
    student, teacher = pooled(0), pooled(1, 7)
    value, kernels = 0., [
        (cosine_similarity(x.numpy()) + 1) / 2 for x in (student, teacher)
    ]
    for i in range(N):
        others = [j for j in range(N) if j != i]
        for j in others:
            q, p = (k[i, j] / sum(k[i, o] for o in others) for k in kernels)
            value += p * math.log(p / q)
    distance = L.PKTDistance()
    close(distance(student, teacher), value / N)
    scaled = pooled(2, 1).exp() * student @ rotation()
    close(distance(student, scaled), 0., rtol=0, atol=1e-12)
    # Opposite vectors have a kernel of 0.
    pair = torch.tensor([[1., 0.], [-1., 0.], [0., 1.]])
    assert distance(pair, pair.flip(1)).isfinite()
    with pytest.raises(ValueError, match='at least 2'):
        distance(student[:1], teacher[:1])


def test_rkd_by_its_formula():
    student, teacher = pooled(0), pooled(1, 7)

    def relations(x):
        pairs = list(itertools.combinations(range(N), 2))
        far = torch.stack([(x[i] - x[j]).norm() for i, j in pairs])
        angles = [
            F.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0)
            for i, j, k in itertools.permutations(range(N), 3)
        ]
        return far / far.mean(), torch.stack(angles)

    (s_far, s_angle), (t_far, t_angle) = relations(student), relations(teacher)
    far = F.huber_loss(s_far, t_far)
    angle = F.huber_loss(s_angle, t_angle)
    close(L.RKDDistance()(student, teacher), far + 2 * angle)
    close(L.RKDDistance(3., 0.)(student, teacher), 3 * far)
    close(L.RKDDistance(0., 1.)(student, teacher), angle)


def test_rkd_sees_neither_rotation_nor_shift_nor_scale():
    moved = 2.5 * pooled() @ rotation() + pooled(3, count=1)
    close(L.RKDDistance()(pooled(), moved), 0., rtol=0, atol=1e-12)
    # It is not blind.
    assert L.RKDDistance()(pooled(), moved * torch.arange(1., C + 1)) > 1e-3
    with pytest.raises(ValueError, match='at least 3'):
        L.RKDDistance()(pooled()[:2], moved[:2])


def test_rkd_of_equal_samples_has_a_gradient():
    student = pooled()[:1].repeat(4, 1).requires_grad_()
    L.RKDDistance()(student, pooled(1, count=4)).backward()
    assert student.grad.isfinite().all()


def test_rkd_of_nearly_equal_samples_has_a_bounded_gradient():
    largest = []
    for apart in (1e-1, 1e-6, 1e-9):
        student = pooled().clone()
        student[1] = student[0]
        student[1, 0] += apart
        student.requires_grad_()
        L.RKDDistance(0., 1.)(student, pooled(1)).backward()
        largest.append(student.grad.abs().max())
    # Directions below a thousandth of the mean distance do not count.
    assert max(largest[1:]) < 1000 * largest[0]


def test_contrastive_is_cross_entropy_over_the_batch():
    student, teacher = pooled(0), pooled(1)
    s, t = F.normalize(student, dim=1), F.normalize(teacher, dim=1)
    index = torch.arange(N)
    there = F.cross_entropy(s @ t.T / 0.3, index)
    back = F.cross_entropy(t @ s.T / 0.3, index)
    close(L.ContrastiveDistance(0.3)(student, teacher), there)
    close(L.ContrastiveDistance(0.3, symmetric=True)(student, teacher),
          (there + back) / 2)


@pytest.mark.parametrize('temperature', [0.2, 0.01])
def test_contrastive_with_a_queue_is_cross_entropy_over_both(temperature):
    student, teacher = pooled(0), pooled(1)
    distance = L.ContrastiveDistance(temperature, K, C).double()
    s = F.normalize(student, dim=1).requires_grad_()
    t = F.normalize(teacher, dim=1)
    logits = torch.cat([s @ t.T, s @ distance.queue.keys.clone()], 1)
    wanted = F.cross_entropy(logits / temperature, torch.arange(N))
    leaf = s.detach().clone().requires_grad_()
    value = distance(leaf, teacher)
    close(value, wanted)
    close(
        torch.autograd.grad(value, leaf)[0],
        _tangent(torch.autograd.grad(wanted, s)[0], s.detach()))
    # The queue takes the teacher's vectors, afterwards, in training only.
    close(distance.queue.keys[:, :N], t.T)
    assert distance.queue.position == N
    distance.eval()(student, teacher)
    assert distance.queue.position == N


def _tangent(grad, unit):
    """A gradient for unit vectors through their normalisation."""
    return grad - (grad * unit).sum(1, keepdim=True) * unit


def test_contrastive_is_finite_where_the_queue_is_far():
    distance = L.ContrastiveDistance(0.005, 1, 2)
    distance.queue.keys.copy_(torch.tensor([[-1.], [0.]]))
    student = torch.tensor([[1., 0.]]).requires_grad_()
    value = distance(student, student.detach())
    value.backward()
    close(value, 0., rtol=0, atol=1e-6)
    assert student.grad.isfinite().all()


def test_dense_contrastive_tells_cells_from_other_images():
    student, teacher = dense(0), dense(1)
    pooled_teacher = F.normalize(teacher.mean((2, 3)), dim=1)
    total = 0.
    for n, h, w in itertools.product(range(N), range(2), range(3)):
        s = F.normalize(student[n, :, h, w], dim=0)
        t = F.normalize(teacher[n, :, h, w], dim=0)
        logits = torch.stack(
            [s @ t] + [s @ pooled_teacher[j] for j in range(N) if j != n])
        total += F.cross_entropy(logits / 0.2, torch.tensor(0))
    close(L.ContrastiveDistance()(student, teacher), total / (N * 6))


def test_contrastive_needs_to_know_the_queues_width():
    with pytest.raises(ValueError, match='feat_dim: set it'):
        L.ContrastiveDistance(queue_len=8)


def test_queue_similarity_is_seeds_cross_entropy_less_entropy():
    distance = L.QueueSimilarityDistance(C, K, 0.2, 0.05).double()
    keys = distance.queue.keys.clone()
    s, t = (F.normalize(x, dim=1) for x in (pooled(0), pooled(1)))
    d = [torch.cat([t[n:n + 1].T, keys], 1) for n in range(N)]
    value = 0.
    for n in range(N):
        p = torch.softmax(t[n] @ d[n] / 0.05, 0)
        value += F.cross_entropy(s[n] @ d[n] / 0.2, p) + (p * p.log()).sum()
    close(distance(pooled(0), pooled(1)), value / N)
    close(distance.queue.keys[:, :N], t.T)


def test_crd_is_binary_cross_entropy_with_its_partition():
    distance = L.CRDDistance(feat_dim=C, queue_len=K).double()
    queues = [q.keys.clone()
              for q in (distance.teacher_queue, distance.student_queue)]
    s, t = (F.normalize(x, dim=1) for x in (pooled(0), pooled(1)))
    value = 0.
    for query, other, queue in ((s, t, queues[0]), (t, s, queues[1])):
        score = torch.cat([(query * other).sum(1, keepdim=True),
                           query @ queue], 1).div(0.07).exp()
        h = score / (score + K * score.mean())
        truth = torch.zeros_like(h)
        truth[:, 0] = 1
        value += F.binary_cross_entropy(h, truth, reduction='sum') / N
    close(distance(pooled(0), pooled(1)), value)
    # Z is that of the first batch with full queues, and goes into the state
    # dict.
    assert all(map(math.isnan, distance.log_z))
    while not distance.student_queue.is_full:
        distance(pooled(0), pooled(1))
    distance(pooled(2), pooled(3))
    first = list(distance.log_z)
    assert not any(map(math.isnan, first))
    distance(pooled(4), pooled(5))
    assert distance.log_z == first
    other = L.CRDDistance(feat_dim=C, queue_len=K).double()
    other.load_state_dict(distance.state_dict())
    assert other.log_z == first


def test_crd_does_not_blow_up_as_features_replace_random_keys():
    # Features of an encoder lie in one corner, which random keys are far from.
    far = 3 * pooled(9, count=1)
    distance = L.CRDDistance(feat_dim=C, queue_len=K).double()
    losses = [distance(pooled(i) + far, pooled(i) + far).item()
              for i in range(3 * math.ceil(K / N))]
    # One positive and K negatives, in both directions, of a classifier that
    # knows nothing: 2 (log (K + 1) + about 1).
    assert max(losses) < 2 * (math.log(K + 1) + 2)


def test_crd_embeds_encoders_of_different_widths():
    distance = L.CRDDistance((C, 7), feat_dim=4, queue_len=K).double()
    distance(pooled(0), pooled(1, 7)).backward()
    for linear in (distance.embed_student, distance.embed_teacher):
        assert linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('make_features', [pooled, dense])
@pytest.mark.parametrize('cls', [L.EuclideanDistance, L.ContrastiveDistance])
def test_centred_features_are_seen_from_the_teachers_mean(
        cls, make_features):
    far = 100 * pooled(5, count=1).reshape(
        1, C, *[1] * (make_features().dim() - 2))
    student, teacher = make_features(0), make_features(1)
    mean = teacher.flatten(2).mean(2) if teacher.dim() == 4 else teacher
    mean = mean.mean(0).reshape(far.shape)
    wanted = cls()(student - mean, teacher - mean)
    # A place that all features are far from hides nothing.
    close(cls(centre=True)(student + far, teacher + far), wanted)
    assert (cls()(student + far, teacher + far) - wanted).abs() > 0.1
    assert teacher.equal(make_features(1))


# On two processes.

GATHERED = [('ContrastiveDistance', dict(symmetric=True)),
            ('ContrastiveDistance', dict(symmetric=True, dense=True)),
            ('ContrastiveDistance', dict(centre=True)),
            ('EuclideanDistance', dict(centre=True)),
            ('QueueSimilarityDistance', {}),
            ('CRDDistance', dict(queue_len=N)),
            ('SimilarityPreservingDistance', dict(gather=True)),
            ('PKTDistance', dict(gather=True)),
            ('RKDDistance', dict(gather=True))]


def gradients(first, last):
    """Value and gradient of all distances on samples first to last."""
    found = []
    for number, (name, kwargs) in enumerate(GATHERED):
        torch.manual_seed(number)
        kwargs = dict(kwargs)
        make_features = dense if kwargs.pop('dense', False) else pooled
        distance = make(name, **kwargs)
        weight = torch.eye(C, dtype=torch.float64).requires_grad_()
        for step in range(3):
            student = make_features(2 * step)[first:last]
            student = torch.einsum('nc...,cd->nd...', student, weight)
            value = distance(student, make_features(2 * step + 1)[first:last])
        value.backward()
        found.append((value.detach(), weight.grad, distance.state_dict()))
    return found


def work(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    half = N // 2
    found = gradients(rank * half, (rank + 1) * half)
    torch.save(found, folder / f'{rank}.pth')
    leave_processes()


def test_two_gloo_processes_equal_one(tmp_path):
    mp.spawn(work, (free_port(), tmp_path), nprocs=2)
    halves = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    for (name, kwargs), a, b, whole in zip(GATHERED, *halves, gradients(0, N)):
        # DDP takes the mean of the processes' gradients.
        close((a[0] + b[0]) / 2, whole[0], rtol=1e-10, atol=1e-12)
        close((a[1] + b[1]) / 2, whole[1], rtol=1e-10, atol=1e-12)
        assert whole[1].abs().max() > 1e-4
        for key, value in whole[2].items():
            close(a[2][key], value, rtol=1e-10, atol=1e-12)
            assert torch.equal(a[2][key], b[2][key])
