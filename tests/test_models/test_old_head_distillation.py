# Copyright (c) mmmultissl contributors. All rights reserved.
"""Learning without forgetting on the old heads of every task."""
import copy

import pytest
import torch
import torch.nn.functional as F

from mmmultissl.models import MultiSSL
from mmmultissl.models.utils import RingQueue
from mmmultissl.registry import MODELS

from . import golden, planted

HEADS = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
SOUND = {
    'gap': planted.gap(dropout=0.5),
    'gap_signed': planted.gap('signed'),
    'gap_ordinal': planted.gap('ordinal'),
    'spatial': planted.spatial(dropout=0.5),
    'spatial_flip': planted.spatial('flip'),
    'spatial_heading': planted.spatial('heading'),
    'spatial_contrastive': planted.spatial('contrastive'),
    'foreground': planted.foreground(),
    'foreground_margin': planted.foreground('margin'),
    'foreground_infonce': planted.foreground('infonce'),
}


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """The checkpoint of a run of MoCo and DenseCL."""
    path = str(tmp_path_factory.mktemp('old') / 'images.pth')
    torch.manual_seed(5)
    model = golden.build(HEADS)
    model.init_weights()
    golden.train(model, golden.batches(2))
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    """The checkpoint of a run of all binaural tasks."""
    path = str(tmp_path_factory.mktemp('old') / 'sound.pth')
    torch.manual_seed(5)
    model = planted.build(**SOUND)
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def remember(checkpoint, heads, backbone=golden.TRUNK, **kwargs):
    return dict(
        type='mmmultissl.OldHeadDistillationTask',
        teacher=dict(backbone=backbone, checkpoint=checkpoint),
        heads=heads,
        **kwargs)


def of_images(checkpoint, seed=0, heads=HEADS, **kwargs):
    torch.manual_seed(seed)
    model = golden.build(dict(old=remember(checkpoint, heads, **kwargs)))
    model.init_weights()
    return model.train()


def of_sound(checkpoint, heads, seed=0, tasks=None, **kwargs):
    torch.manual_seed(seed)
    old = remember(
        checkpoint, heads, planted.BACKBONE,
        companions=dict(visual=planted.VISUAL), **kwargs)
    model = MultiSSL(planted.BACKBONE, dict(tasks or {}, old=old))
    model.init_weights()
    return model.train()


def test_heads_and_trunk_of_the_old_model_answer_alike(images, sound):
    model = of_images(images).eval()
    old = model.tasks['old'].teacher
    model.backbone.load_state_dict(old.backbone.state_dict())
    losses = model.loss(next(golden.batches(1)), None)
    assert set(losses) == {'old.loss', 'old.distance_moco',
                           'old.distance_densecl'}
    assert all(value.abs() < 1e-6 for value in losses.values())

    model = of_sound(sound, SOUND).eval()
    old = model.tasks['old'].teacher
    views, samples = planted.batch(4)
    # Another trunk is told, by every head.
    losses = model.loss(views, samples)
    assert len(losses) == 1 + len(SOUND)
    assert all(value > 1e-6 for value in losses.values()), losses
    model.backbone.load_state_dict(old.backbone.state_dict())
    losses = model.loss(views, samples)
    assert all(value.abs() < 1e-6 for value in losses.values())


def test_loss_by_its_formula(images):
    model = of_images(images, weight=3., temperature=1.5, queue_keys=10)
    task = model.tasks['old']
    view = next(golden.batches(1))
    losses = model.loss(view, None)
    # In training the trunk's batch norm reads the batch.
    student_map = model.backbone(view[0])
    teacher_map = task.teacher.backbone(view[0])
    found = dict(moco=[], densecl=[])
    for maps in (student_map, teacher_map):
        moco, dense = task.teacher.tasks['moco'], task.teacher.tasks['densecl']
        found['moco'].append([(moco.neck(maps)[0], moco.queue)])
        single, cells, _ = dense.neck(maps)
        found['densecl'].append([
            (single, dense.queue),
            (torch.cat([c.t() for c in cells]), dense.dense_queue)])
    total = 0.
    for name, (mine, old) in found.items():
        wanted = 0.
        for (s, queue), (t, _) in zip(mine, old):
            q, p = (torch.softmax(
                F.normalize(x, dim=1) @ queue.keys[:, :10] / 0.2 / 1.5, 1)
                for x in (s, t))
            wanted += (p * (p / q).log()).sum(1).mean() / len(old)
        torch.testing.assert_close(losses[f'old.distance_{name}'], wanted,
                                   rtol=1e-4, atol=1e-6)
        total += wanted
    torch.testing.assert_close(losses['old.loss'], 3 * total,
                               rtol=1e-4, atol=1e-6)


def test_binary_heads_are_compared_by_their_probabilities(sound):
    model = of_sound(sound, dict(spatial=SOUND['spatial']), temperature=1.)
    views, samples = planted.batch(4)
    losses = model.loss(views, samples)
    old, wanted = model.tasks['old'].teacher, 0.
    task = old.tasks['spatial']
    image = task.layout(old.companions['visual'](views['frame'])[-1])
    for name in ('clip', 'rotated'):
        q, p = (torch.sigmoid(
            task.head(trunk(views[name])[-1].mean((2, 3)), image))
                for trunk in (model.backbone, old.backbone))
        wanted += (p * (p / q).log() +
                   (1 - p) * ((1 - p) / (1 - q)).log()).mean() / 2
    torch.testing.assert_close(losses['old.loss'], wanted)


@pytest.mark.parametrize('train_heads', [True, False])
def test_who_is_trained(images, train_heads):
    model = of_images(images, train_heads=train_heads)
    task = model.tasks['old']
    frozen = copy.deepcopy(task.teacher.state_dict())
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    first = copy.deepcopy(model.backbone.conv1.weight)
    for views in golden.batches(2):
        model.loss(views, None)['old.loss'].backward()
        optimizer.step()
    for key, value in task.teacher.state_dict().items():
        assert torch.equal(value, frozen[key]), key
    assert not torch.equal(first, model.backbone.conv1.weight)
    if train_heads:
        assert not task.heads.training and task.training
        for name in HEADS:
            mine = task.heads[name].neck.state_dict()
            old = task.teacher.tasks[name].neck.state_dict()
            assert any(not torch.equal(mine[k], old[k]) for k in old)
        # Queues are there once, as they were, and no balancer waits for them.
        file = torch.load(images, weights_only=True)['state_dict']
        assert torch.equal(task.heads['moco'].queue.keys,
                           file['tasks.moco.queue.keys'])
        assert not any(isinstance(m, RingQueue) for m in task.modules())
        assert task.heads['moco'].queue is task.teacher.tasks['moco'].queue
        assert not any('queue' in k for k in task.heads.state_dict())
    else:
        assert task.heads is None


def test_weight_0_changes_nothing_bit_for_bit(sound):
    tasks = dict(new=planted.gap(dropout=0.5))
    runs = []
    for weight in (None, 0.):
        torch.manual_seed(3)
        if weight is None:
            model = MultiSSL(planted.BACKBONE, tasks)
            model.init_weights()
        else:
            model = of_sound(
                sound, {k: SOUND[k] for k in ('gap', 'foreground')}, seed=3,
                tasks=tasks, weight=weight)
        model.train()
        optimizer = torch.optim.SGD(
            [p for p in model.parameters() if p.requires_grad], lr=0.1,
            momentum=0.9)
        for _ in range(3):
            loss, _ = model.parse_losses(model.loss(*planted.batch(4)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        runs.append((model.state_dict(), torch.get_rng_state()))
    for key, value in runs[0][0].items():
        assert torch.equal(value, runs[1][0][key]), key
    assert torch.equal(runs[0][1], runs[1][1])


def test_state_is_complete(images, tmp_path):
    path = tmp_path / 'gone.pth'
    path.write_bytes(open(images, 'rb').read())
    model = of_images(str(path))
    state = copy.deepcopy(model.state_dict())
    path.unlink()
    resumed = of_images(str(path), seed=4)
    views = next(golden.batches(1))
    with pytest.raises(RuntimeError, match='gone.pth is not there'):
        resumed.loss(views, None)
    resumed.load_state_dict(state)
    for key, value in model.loss(views, None).items():
        assert torch.equal(value, resumed.loss(views, None)[key])


def test_answers_are_remembered(sound):
    """Training something else changes them; less so with the old head."""
    gone = []
    for weight in (0., 20.):
        old = torch.load(sound, weights_only=True)['state_dict']
        model = of_sound(
            sound, dict(gap=SOUND['gap']), tasks=dict(new=planted.gap()),
            weight=weight, seed=1)
        model.backbone.load_state_dict({
            k[len('backbone.'):]: v for k, v in old.items()
            if k.startswith('backbone.')})
        optimizer = torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad], 1e-3)
        torch.manual_seed(0)
        for _ in range(15):
            loss, log = model.parse_losses(model.loss(*planted.batch(16)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        gone.append(log['old.distance_gap'].item())
    assert gone[1] < 0.7 * gone[0]


def test_mistakes_are_explained(images):
    byol, _ = golden.peer_of_kind('BYOL')
    adapter = dict(type='mmmultissl.MMPretrainTask', algorithm=byol)
    with pytest.raises(ValueError, match='got no heads: name old tasks'):
        of_images(images, heads=dict(moco=None))
    with pytest.raises(ValueError, match='teacher of .* is a str'):
        MODELS.build(dict(remember('', HEADS), teacher='a.pth'))
    with pytest.raises(RuntimeError, match='not fit tasks.byol of the teach'):
        of_images(images, heads=dict(byol=golden.moco_task()))
    task = MODELS.build(remember(images, dict(byol=adapter)))
    task.teacher.is_filled = True
    with pytest.raises(ValueError, match='head of MMPretrainTask answers'):
        task.loss(_Nothing())


class _Nothing:

    def input(self, view):
        return None


def test_bfloat16_autocast(images):
    model = of_images(images)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(next(golden.batches(1)), None)
    losses['old.loss'].backward()
    assert losses['old.loss'].dtype == torch.float32
    assert model.backbone.conv1.weight.grad.isfinite().all()
