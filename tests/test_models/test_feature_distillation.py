# Copyright (c) mmmultissl contributors. All rights reserved.
"""Distillation from a frozen encoder as a task."""
import copy
import os
import random

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope

from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.models import MultiSSL, Teacher
from mmmultissl.models.utils import RingQueue
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import leave_processes

from ..test_engine import resume_toy
from . import golden, planted
from . import test_distributed as distributed
from .test_distributed import Untouched

WIDTH = golden.WIDTH
CONTRASTIVE = dict(
    type='mmmultissl.ContrastiveDistance', queue_len=8, feat_dim=WIDTH)
SMALL = dict(in_channels=WIDTH, hidden_channels=32)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """The checkpoint of a trained run of MoCo."""
    return save(golden.build(dict(moco=golden.moco_task())), 5,
                tmp_path_factory.mktemp('teacher') / 'a.pth')


@pytest.fixture(scope='module')
def other_checkpoint(tmp_path_factory):
    return save(golden.build(dict(densecl=golden.densecl_task())), 6,
                tmp_path_factory.mktemp('teacher') / 'b.pth')


def save(model, seed, path):
    torch.manual_seed(seed)
    model.init_weights()
    golden.train(model, golden.batches(2), seed)
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


def distil(checkpoint, backbone=golden.TRUNK, teacher=None, **kwargs):
    return dict(
        type='mmmultissl.FeatureDistillationTask',
        teacher=dict(
            backbone=backbone, checkpoint=checkpoint, **(teacher or {})),
        **kwargs)


def build(seed=0, **tasks):
    torch.manual_seed(seed)
    model = golden.build(tasks)
    model.init_weights()
    return model.train()


def train(model, steps=4, wrap=None):
    """SGD that names the state it keeps, from one global generator."""
    named = {k: p for k, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(
        named.values(), lr=0.03, momentum=0.9, weight_decay=1e-4)
    logs = []
    for views in golden.batches(steps):
        loss, log = model.parse_losses(model.loss(views, None))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logs.append({k: v.item() for k, v in log.items()})
    return logs, {k: optimizer.state[p]['momentum_buffer']
                  for k, p in named.items() if p in optimizer.state}


def states_of_generators():
    return (random.getstate(), np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist())


# At weight 0.


@pytest.mark.parametrize('kwargs', [
    dict(),
    dict(distance=CONTRASTIVE, predictor=SMALL),
    dict(
        distance=CONTRASTIVE, predictor=SMALL, features='dense', stage=0),
])
@pytest.mark.parametrize('by_balancer', [False, True])
def test_weight_0_changes_nothing_bit_for_bit(checkpoint, kwargs,
                                              by_balancer):
    balancer = None
    kwargs = dict(kwargs, weight=0.)
    if by_balancer:
        kwargs['weight'] = 1.
        balancer = dict(
            type='mmmultissl.FixedWeights', weights=dict(remember=0.))
    runs = []
    for tasks in (dict(moco=golden.moco_task()),
                  dict(remember=distil(checkpoint, **kwargs),
                       moco=golden.moco_task())):
        torch.manual_seed(0)
        model = golden.build(
            tasks, balancer=balancer if 'remember' in tasks else None,
            channels_last=True)
        model.init_weights()
        start = copy.deepcopy(model.state_dict())
        logs, momentum = train(model.train())
        runs.append((model.state_dict(), momentum, logs,
                     states_of_generators(), start))
    plain, with_it = runs
    for key, value in plain[0].items():
        assert torch.equal(value, plain[0][key])
        assert torch.equal(value, with_it[0][key]), key
    for key, value in plain[1].items():
        assert torch.equal(value, with_it[1][key]), key
    assert [log['moco.loss'] for log in plain[2]] == \
        [log['moco.loss'] for log in with_it[2]]
    assert plain[3] == with_it[3]
    # Something was trained, and the distance was there.
    assert not torch.equal(plain[0]['backbone.conv1.weight'],
                           plain[4]['backbone.conv1.weight'])
    assert all(log['remember.distance'] > 0 for log in with_it[2])
    assert all(log['remember.loss'] == 0 for log in with_it[2])


def test_a_weight_above_0_does_change_the_trunk(checkpoint):
    plain = build(moco=golden.moco_task())
    with_it = build(
        moco=golden.moco_task(), remember=distil(checkpoint, weight=1e-3))
    train(plain), train(with_it)
    assert not torch.equal(plain.backbone.conv1.weight,
                           with_it.backbone.conv1.weight)


def test_own_generator(checkpoint):
    before = states_of_generators()
    cfg = distil(checkpoint, distance=CONTRASTIVE, predictor=SMALL)
    tasks = []
    for seed in (0, 0, 1):
        torch.rand(3)
        here = states_of_generators()
        task = MODELS.build(dict(cfg, seed=seed))
        task.init_weights()
        assert here == states_of_generators()
        tasks.append(task)
    assert before != here
    first, second, third = (task.state_dict() for task in tasks)
    for key in first:
        assert torch.equal(first[key], second[key])
    for key in ('predictor.layers.0.weight', 'distance.queue.keys'):
        assert not torch.equal(first[key], third[key])


# The teacher.


def test_teacher_is_the_checkpoint_and_stays_it(checkpoint):
    model = build(
        moco=golden.moco_task(), remember=distil(checkpoint, weight=10.))
    teacher = model.tasks['remember'].teacher
    file = torch.load(checkpoint, weights_only=True)['state_dict']
    logs, _ = train(model, 3)
    model.eval(), model.train()
    assert not any(m.training for m in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    for key, value in teacher.backbone.state_dict().items():
        assert torch.equal(value, file[f'backbone.{key}']), key
    assert teacher.sha256 == sha256_of(checkpoint)
    # Neither a task's head nor an EMA copy is made of it.
    assert not any('teacher' in key for key in model.momentum.state_dict())


@pytest.mark.parametrize('features, stage', [
    ('pooled', -1), ('dense', -1), ('dense', 0)])
def test_loss_is_the_distance_of_both_encoders(checkpoint, features, stage):
    trunk = dict(golden.TRUNK, out_indices=(1, 3))
    torch.manual_seed(0)
    model = golden.build(
        dict(
            remember=distil(
                checkpoint, trunk, features=features, stage=stage, weight=3.,
                views=('view0', 'view1'))), trunk)
    model.init_weights()
    model.eval()
    views = next(golden.batches(1))
    losses = model.loss(views, None)
    teacher = golden.build(dict(moco=golden.moco_task()), trunk).eval()
    file = torch.load(checkpoint, weights_only=True)['state_dict']
    teacher.backbone.load_state_dict({
        k[len('backbone.'):]: v
        for k, v in file.items() if k.startswith('backbone.')})
    wanted = 0.
    for view in views:
        s, t = model.backbone(view)[stage], teacher.backbone(view)[stage]
        if features == 'pooled':
            s, t = s.mean((2, 3)), t.mean((2, 3))
        wanted += (2 - 2 * F.cosine_similarity(s, t, dim=1)).mean() / 2
    torch.testing.assert_close(losses['remember.distance'], wanted)
    torch.testing.assert_close(losses['remember.loss'], 3 * wanted)
    assert not losses['remember.distance'].requires_grad


@pytest.mark.parametrize('kind', ['Contrastive', 'CRD', 'QueueSimilarity'])
def test_views_of_one_image_do_not_meet_in_the_queue(checkpoint, kind):
    distance = dict(
        type=f'mmmultissl.{kind}Distance', queue_len=3 * golden.BATCH,
        feat_dim=WIDTH)
    torch.manual_seed(0)
    model = golden.build(
        dict(
            remember=distil(
                checkpoint, distance=distance, views=('view0', 'view1'))))
    model.init_weights()
    model.eval()
    remember = model.tasks['remember']
    views = next(golden.batches(1))
    # Each view against the queue as it was before the iteration.
    alone = [
        copy.deepcopy(remember.distance).eval()(
            model.backbone(view)[-1].mean((2, 3)),
            remember.teacher(view)[-1].mean((2, 3))) for view in views
    ]
    remember.distance.train()
    found = model.loss(views, None)['remember.distance']
    torch.testing.assert_close(found, sum(alone).detach() / 2)
    # And the keys of both are in it afterwards.
    for queue in remember.distance.modules():
        if isinstance(queue, RingQueue):
            assert queue.written == 2 * golden.BATCH


def test_the_pulled_trunk_comes_near_its_teacher(checkpoint):
    free = build(
        moco=golden.moco_task(), remember=distil(checkpoint, weight=0.))
    pulled = build(
        moco=golden.moco_task(), remember=distil(checkpoint, weight=5.))
    free_logs, pulled_logs = train(free, 12)[0], train(pulled, 12)[0]
    assert free_logs[0]['remember.distance'] == \
        pulled_logs[0]['remember.distance']
    assert pulled_logs[-1]['remember.distance'] < \
        0.5 * free_logs[-1]['remember.distance']


def test_weights_survive_their_file(checkpoint, tmp_path):
    path = tmp_path / 'gone.pth'
    path.write_bytes(open(checkpoint, 'rb').read())
    cfg = dict(remember=distil(str(path)), moco=golden.moco_task())
    model = build(**cfg)
    train(model, 2)
    state = copy.deepcopy(model.state_dict())
    path.unlink()
    resumed = build(seed=3, **cfg)
    with pytest.raises(RuntimeError, match='gone.pth is not there'):
        resumed.loss(next(golden.batches(1)), None)
    resumed.load_state_dict(state)
    views = next(golden.batches(1))
    torch.manual_seed(0)
    wanted = model.loss(views, None)
    torch.manual_seed(0)
    for key, value in resumed.loss(views, None).items():
        assert torch.equal(value, wanted[key])


def test_the_key_of_a_queue_that_is_too_long_is_told(checkpoint, monkeypatch):
    distance = dict(
        type='mmmultissl.ContrastiveDistance', queue_len=10, feat_dim=WIDTH)
    model = build(remember=distil(checkpoint, distance=distance))
    said = []
    monkeypatch.setattr('mmmultissl.models.selfsup.multi_ssl.print_log',
                        lambda text, logger, level: said.append(text))
    model.announce_dataset(10)
    assert 'set model.tasks.remember.distance.queue_len to 5' in said[0]


def test_a_cut_run_resumes_without_the_file(tmp_path, monkeypatch):
    resume_toy.make_images(tmp_path / 'images')
    path = tmp_path / 'teacher.pth'
    cfg = resume_toy.multi_ssl()
    torch.manual_seed(3)
    model = MultiSSL(cfg['backbone'], cfg['tasks'])
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), path)
    queue = dict(
        type='mmmultissl.ContrastiveDistance', queue_len=10, feat_dim=64)
    cfg['tasks']['remember'] = distil(
        str(path), cfg['backbone'], distance=queue,
        predictor=dict(in_channels=64, hidden_channels=8))
    monkeypatch.setattr(resume_toy, 'multi_ssl', lambda _: copy.deepcopy(cfg))

    options = dict(images=tmp_path / 'images')
    resume_toy.build(tmp_path / 'straight', **options).train()
    resume_toy.build(tmp_path / 'cut', stop_at=5, **options).train()
    path.unlink()
    resume_toy.build(tmp_path / 'cut', resume=True, **options).train()
    straight, _ = resume_toy.final_state(tmp_path / 'straight')
    resume_toy.assert_equal(straight,
                            resume_toy.final_state(tmp_path / 'cut')[0])
    assert any('remember.distance.queue' in key
               for key in straight['state_dict'])


def test_another_teacher_does_not_continue_a_run(checkpoint,
                                                 other_checkpoint):
    state = build(remember=distil(checkpoint)).state_dict()
    other = build(remember=distil(other_checkpoint))
    with pytest.raises(ValueError, match='resume with the same teacher'):
        other.load_state_dict(state)


@pytest.mark.parametrize('distance', [None, dict(type='KDDistance')])
def test_distance_is_found_in_the_scope_of_a_run(checkpoint, distance):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        task = build(remember=distil(checkpoint, distance=distance)).tasks
    assert type(task['remember'].distance).__name__ == (
        'KDDistance' if distance else 'EuclideanDistance')


def test_checksum_is_compared(checkpoint):
    right = sha256_of(checkpoint)
    build(remember=distil(checkpoint, teacher=dict(sha256=right.upper())))
    with pytest.raises(ValueError, match=f'the sha256 {right}, but ab'):
        build(remember=distil(checkpoint, teacher=dict(sha256='ab' * 32)))
    with pytest.raises(ValueError, match='"abc", which is no checksum'):
        build(remember=distil(checkpoint, teacher=dict(sha256='abc')))


def test_ema_trunk_can_teach(checkpoint):
    teacher = dict(prefix='momentum.ema0.backbone.')
    model = build(remember=distil(checkpoint, teacher=teacher))
    file = torch.load(checkpoint, weights_only=True)['state_dict']
    key = 'layer4.0.conv1.weight'
    mine = model.tasks['remember'].teacher.backbone.state_dict()[key]
    assert torch.equal(mine, file[f'momentum.ema0.backbone.{key}'])
    assert not torch.equal(mine, file[f'backbone.{key}'])


def test_teacher_of_another_shape_names_the_keys(checkpoint):
    wide = dict(golden.TRUNK, base_channels=32)
    with pytest.raises(RuntimeError, match='does not fit the teacher'):
        build(remember=distil(checkpoint, wide))
    with pytest.raises(RuntimeError, match="prefix='backbone.'"):
        build(remember=distil(checkpoint, teacher=dict(prefix='encoder.')))


def test_teacher_ignores_an_inherited_initialisation(checkpoint):
    trunk = dict(
        golden.TRUNK,
        init_cfg=dict(type='Pretrained', checkpoint='no/such/file.pth'))
    task = MODELS.build(distil(checkpoint, trunk))
    task.init_weights()
    assert task.teacher.is_filled


@pytest.mark.parametrize('change, message', [
    (dict(teacher=dict(checkpoint='a.pth')), 'teacher.backbone .* not set'),
    (dict(teacher='a.pth'), 'teacher of .* is a str: write'),
    (dict(teacher=dict(backbone=golden.TRUNK, chekpoint='a')),
     'did you mean checkpoint'),
    (dict(features='global'), 'set one of pooled, dense'),
    (dict(weight=-1.), 'weight=-1.0: set 0 or more'),
    (dict(views='view0'), "in a list, such as"),
    (dict(predictor=dict(in_chanels=4)), 'did you mean in_channels'),
    (dict(predictor=512), 'predictor of .* is 512, but must be a dict'),
    (dict(weight='1'), "weight='1': set 0 or more"),
    (dict(distance='euclidean'), "distance of .* is 'euclidean', but must"),
    (dict(distance=dict(type='mmmultissl.MoCoTask')),
     'has the type mmmultissl.MoCoTask: set it to one of mmmultissl.Att'),
    (dict(distance=dict(type='mmmultissl.Euclidean')), 'set it to one of'),
    (dict(distance=dict(type='mmmultissl.EuclideanDistance', center=True)),
     'did you mean centre'),
])
def test_mistakes_are_explained(change, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(distil('a.pth'), **change))


def test_mistakes_of_use_are_explained(checkpoint):
    with pytest.raises(ValueError, match='tasks.NAME.teacher.checkpoint=F'):
        build(remember=distil(None))
    model = build(remember=distil(checkpoint, stage=1))
    with pytest.raises(ValueError, match='stage=1, but an encoder gives 1'):
        model.loss(next(golden.batches(1)), None)
    model = build(remember=distil(checkpoint, views=('view3', )))
    with pytest.raises(ValueError, match='"remember" reads the view "view3"'):
        model.loss(next(golden.batches(1)), None)


# Predictors.


def test_predictor_of_pooled_and_dense_features(checkpoint):
    for features, kinds in (('pooled', ['Linear', 'BatchNorm1d']),
                            ('dense', ['Conv2d', 'BatchNorm2d'])):
        model = build(
            remember=distil(
                checkpoint, features=features,
                predictor=dict(in_channels=WIDTH)))
        layers = model.tasks['remember'].predictor.layers
        assert [type(m).__name__ for m in layers] == [
            *kinds, 'ReLU', kinds[0]]
        assert layers[0].weight.shape[:2] == (2048, WIDTH)
        train(model, 1)
        assert layers[0].weight.grad.abs().sum() > 0
        assert model.backbone.conv1.weight.grad.abs().sum() > 0


def test_regressor_towards_a_wider_teacher(checkpoint):
    narrow = dict(golden.TRUNK, base_channels=8)
    torch.manual_seed(0)
    model = golden.build(
        dict(
            hint=distil(
                checkpoint,
                distance=dict(type='mmmultissl.HintDistance'),
                predictor=dict(
                    in_channels=WIDTH // 2,
                    out_channels=WIDTH,
                    hidden_channels=0))), narrow)
    model.init_weights()
    logs, _ = train(model.train(), 8)
    assert isinstance(model.tasks['hint'].predictor.layers, torch.nn.Linear)
    assert logs[-1]['hint.distance'] < 0.9 * logs[0]['hint.distance']


# Amalgamation, sound, mixed precision.


def test_two_teachers_train_one_fresh_student(checkpoint, other_checkpoint):
    model = build(
        moco=distil(checkpoint, predictor=SMALL),
        densecl=distil(other_checkpoint, predictor=SMALL, features='dense',
                       seed=1))
    assert len(model.momentum) == 0
    first, second = (model.tasks[name].teacher.backbone.conv1.weight
                     for name in ('moco', 'densecl'))
    assert not torch.equal(first, second)
    logs, _ = train(model, 12)
    for name in ('moco', 'densecl'):
        assert logs[-1][f'{name}.distance'] < 0.8 * logs[0][f'{name}.distance']


def test_spectrograms(tmp_path):
    path = str(tmp_path / 'sound.pth')
    torch.manual_seed(1)
    first = planted.build(gap=planted.gap())
    torch.save(dict(state_dict=first.state_dict()), path)
    torch.manual_seed(2)
    model = MultiSSL(
        planted.BACKBONE,
        dict(
            gap=planted.gap(),
            remember=distil(
                path, planted.BACKBONE, views=('clip', 'shifted'),
                features='dense'))).train()
    model.init_weights()
    views, samples = planted.batch(4)
    losses = model.loss(views, samples)
    assert losses['remember.loss'] > 0.01
    # The very teacher has no distance to itself, in evaluation mode.
    model.backbone.load_state_dict(first.backbone.state_dict())
    losses = model.eval().loss(views, samples)
    assert losses['remember.loss'] == 0


@pytest.mark.parametrize('features', ['pooled', 'dense'])
def test_bfloat16_autocast(checkpoint, features):
    model = build(
        moco=golden.moco_task(),
        remember=distil(
            checkpoint, features=features, predictor=SMALL,
            distance=CONTRASTIVE))
    views = next(golden.batches(1))
    full = model.loss(views, None)['remember.distance']
    model = build(
        moco=golden.moco_task(),
        remember=distil(
            checkpoint, features=features, predictor=SMALL,
            distance=CONTRASTIVE))
    with torch.autocast('cpu', torch.bfloat16):
        loss, log = model.parse_losses(model.loss(views, None))
    loss.backward()
    assert log['remember.distance'].dtype == torch.float32
    torch.testing.assert_close(
        log['remember.distance'], full, rtol=0.05, atol=0)
    assert model.backbone.conv1.weight.grad.isfinite().all()


def test_compiled_parts_are_pure_functions(checkpoint):
    task = MODELS.build(distil(checkpoint, predictor=SMALL))
    assert task.compilable_modules() == [task.teacher.backbone,
                                         task.predictor]
    assert isinstance(task.teacher, Teacher)


# On two processes.


def ddp_model(path):
    torch.manual_seed(0)
    trunk = golden.BN_FREE_TRUNK
    model = golden.build(
        dict(
            moco=golden.moco_task(),
            remember=distil(
                path, trunk, features='dense', stage=0,
                distance=dict(CONTRASTIVE, symmetric=True, centre=True)),
            near=distil(path, trunk, distance=dict(
                type='mmmultissl.EuclideanDistance', centre=True))),
        trunk)
    model.init_weights()
    model.data_preprocessor = Untouched()
    return model.double().train()


def work(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    model = ddp_model(str(folder / 'teacher.pth'))
    losses = distributed.train(MMDistributedDataParallel(model), 3,
                               4 * rank, 4 * rank + 4)
    torch.save((losses, model.state_dict()), folder / f'{rank}.pth')
    leave_processes()


@pytest.mark.slow
def test_two_gloo_processes_equal_one(tmp_path):
    torch.manual_seed(8)
    teacher = golden.build(dict(moco=golden.moco_task()),
                           golden.BN_FREE_TRUNK)
    torch.save(dict(state_dict=teacher.state_dict()),
               tmp_path / 'teacher.pth')
    torch.multiprocessing.spawn(
        work, (distributed.free_port(), tmp_path), nprocs=2)
    model = ddp_model(str(tmp_path / 'teacher.pth'))
    losses = distributed.train(model, 3, 0, 8)
    halves = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    torch.testing.assert_close(
        (halves[0][0] + halves[1][0]) / 2, losses, rtol=0, atol=1e-10)
    for key, value in model.state_dict().items():
        for _, state in halves:
            torch.testing.assert_close(
                state[key], value, rtol=0, atol=1e-10,
                msg=lambda m: f'{key}: {m}')
    assert model.tasks['remember'].distance.queue.is_full
    assert losses.std() > 1e-3
