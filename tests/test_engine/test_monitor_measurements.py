# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the monitor measures in real runs is what it says it is."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from torch.nn import functional as F
from torch.testing import assert_close

from mmmultissl.engine.hooks import MonitorHook
from mmmultissl.engine.hooks.monitor.earlier_tasks import (EarlierTasks,
                                                           stages_before)
from mmmultissl.engine.runner import StrictRunner
from mmmultissl.engine.stages import Record
from mmmultissl.models import ProgressiveBackbone

from ..test_evaluation.tiny_voc import make_tiny_voc
from ..test_models import planted
from .monitor_toy import assert_same_end, config, every, monitored, probe, run


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    return make_tiny_voc(tmp_path_factory.mktemp('monitor'))


def test_geometry_is_that_of_the_step(voc, tmp_path):
    """The keys of the step are found in the queue, in the batch's order."""
    seen = {}

    def look(views, losses):
        seen['query'] = views.queries['view0'][-1].detach().mean((2, 3))
        key = views.keys['view1']
        seen['key'] = key.unshuffle(key.features[-1].mean((2, 3)))

    class Watch(Hook):

        def before_train(self, runner):
            seen['contrasts'] = []
            runner.model.watch(look)
            runner.model.tasks.moco.loss_module.register_forward_pre_hook(
                lambda module, args: seen.update(q=args[0], p=args[1]))

    cfg = config(voc, tmp_path / 'run', every(3),
                 **{'train_cfg.max_iters': 3})
    runner = StrictRunner.from_cfg(cfg)
    runner.register_hook(Watch())
    runner.train()
    numbers = monitored(tmp_path / 'run')[3]
    query, key = (F.normalize(seen[n], dim=1) for n in ('query', 'key'))
    assert numbers['trunk/alignment'] == pytest.approx(
        (query - key).square().sum(1).mean().item(), rel=1e-5)
    # A batch of 8 was written behind 16 others: columns 16 to 23.
    keys = runner.model.tasks.moco.queue.keys[:, 16:24].t()
    q = seen['q'].detach()
    assert_close((q * keys).sum(1), seen['p'].detach())
    similarity = q @ keys.t()
    ranks = [(row > row[i] + 1e-6).sum().item()
             for i, row in enumerate(similarity)]
    assert numbers['moco.queue/positive_rank'] == pytest.approx(
        sum(ranks) / 8 / 7)
    assert numbers['moco.queue/alignment'] == pytest.approx(
        (q - keys).square().sum(1).mean().item(), rel=1e-4)


def test_old_keys_made_anew(voc, tmp_path):
    """32 keys live three iterations beyond their own, then are compared."""
    hook = dict(every(4), batch=None, rank=None, gradients=None)
    # An encoder that stands still makes the same keys again.
    still = {f'model.tasks.{task}.momentum': 1e-12
             for task in ('moco', 'densecl')}
    names = ('moco.queue', 'densecl.queue', 'densecl.dense_queue')
    run(voc, tmp_path / 'still', hook, **still)
    found = monitored(tmp_path / 'still')[8]
    for name in names:
        assert found[f'{name}/key_cosine'] == pytest.approx(1, abs=1e-5)
    assert found['moco.queue/age'] == 1.5
    run(voc, tmp_path / 'moving', hook, **{
        'model.tasks.moco.momentum': 0.5,
        'model.tasks.densecl.momentum': 1e-12,
    })
    found = monitored(tmp_path / 'moving')[8]
    assert found['moco.queue/key_cosine'] < 0.999
    assert found['densecl.queue/key_cosine'] == pytest.approx(1, abs=1e-5)
    # Looked at every 2 iterations, they are old every 4.
    run(voc, tmp_path / 'often', dict(hook, keys=dict(interval=2)), **still)
    found = monitored(tmp_path / 'often')
    assert [step for step, numbers in found.items()
            if 'moco.queue/key_cosine' in numbers] == [4, 8]


COLLAPSE = dict(
    batch=dict(interval=5),
    rank=None,
    queues=None,
    collapse=dict(begin=0, patience=2))
# Without batch norm a trunk is free to collapse.
LAYOUT = {
    'model.backbone.norm_cfg': dict(type='GN', num_groups=4),
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'train_cfg.max_iters': 40,
    'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=0.001),
    'default_hooks.checkpoint.interval': 40
}
NECK = dict(type='mmmultissl.NormedMoCoV2Neck', in_channels=64)


def warnings_of(folder):
    path, = folder.glob('*/*.log')
    return [line for line in path.read_text().splitlines()
            if 'collapsed' in line]


def test_a_collapse_is_announced(voc, tmp_path):
    run(voc, tmp_path / 'run', COLLAPSE, **LAYOUT, **{
        'model.tasks': dict(
            moco=None,
            densecl=None,
            pull=dict(type='mmmultissl.PullTogether'))
    })
    found = monitored(tmp_path / 'run')
    said = warnings_of(tmp_path / 'run')
    assert len(said) == 1 and 'the run has collapsed to one point' in said[0]
    assert found[5]['trunk/cosine'] < 0.999 < found[40]['trunk/cosine']


def test_a_healthy_run_is_left_in_peace(voc, tmp_path):
    run(voc, tmp_path / 'run', COLLAPSE, **LAYOUT, **{
        'model.tasks.densecl': None,
        'model.tasks.moco.neck': NECK
    })
    assert monitored(tmp_path / 'run')
    assert warnings_of(tmp_path / 'run') == []


def test_one_label_per_image(voc, tmp_path):
    """A dataset of mmpretrain; one half is judged by the other."""
    for number, path in enumerate(sorted((voc / 'JPEGImages').iterdir())):
        # As make_tiny_voc draws them: every second one is bright.
        folder = tmp_path / 'classes' / ('dark', 'bright')[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / path.name).symlink_to(path)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmpretrain.Resize', scale=(32, 32)),
        dict(type='mmpretrain.PackInputs')
    ]
    dataset = dict(
        type='mmpretrain.CustomDataset',
        data_root=str(tmp_path / 'classes'),
        pipeline=pipeline)
    runner = run(
        voc, tmp_path / 'run',
        every(2, knn=dict(dataset=dataset, interval=2, neighbours=5,
                          max_images=15, num_workers=0)))
    found = monitored(tmp_path / 'run')
    # Colours are told apart without any training.
    assert found[8]['knn/accuracy'] > 70
    hook, = [h for h in runner.hooks if isinstance(h, MonitorHook)]
    kept = hook.measurements['knn'].probe
    assert [len(part) for part in kept.labels] == [15, 15]
    # By hand, in a model that is put into evaluation mode.
    model = runner.model
    pixels = torch.cat([torch.stack(b['inputs']) for b in kept.batches[1]])
    mean, std = (torch.tensor(runner.cfg.data_preprocessor[key]).view(3, 1, 1)
                 for key in ('mean', 'std'))
    # OpenCV reads blue first.
    expected = (pixels.flip(1) - mean) / std
    model.eval()
    assert_close(kept.encode(model)[1],
                 model.backbone(expected)[-1].mean((2, 3)))
    unlabelled = [dict(t) for t in pipeline]
    with pytest.raises(ValueError, match='has no gt_label'):
        run(voc, tmp_path / 'none',
            dict(knn=dict(
                dataset=dict(type='mmmultissl.ImageFolder',
                             data_root=str(voc / 'JPEGImages'),
                             pipeline=unlabelled), num_workers=0)))
    with pytest.raises(ValueError, match='only 24 images vote'):
        run(voc, tmp_path / 'few',
            dict(knn=dict(probe(voc), neighbours=30)))


def test_forgetting_of_an_earlier_stage(voc, tmp_path):
    """DenseCL after MoCo v2: the old head gets worse on the new trunk."""
    first = run(voc, tmp_path / '1_moco', **{'model.tasks.densecl': None})
    (tmp_path / '1_moco/config.py').write_text(first.cfg.pretty_text)
    stage = dict(
        config=str(tmp_path / '1_moco/config.py'),
        checkpoint=str(tmp_path / '1_moco/iter_8.pth'))
    hook = dict(
        batch=None, rank=None, gradients=None, queues=None, drift=None,
        earlier_tasks=dict(stages=dict(moco=stage), interval=4, batches=2,
                           batch_size=8))
    trained = dict(type='Pretrained', checkpoint=stage['checkpoint'],
                   prefix='backbone.')
    second = {'model.tasks.moco': None, 'train_cfg.max_iters': 4,
              'model.backbone.init_cfg': trained}
    run(voc, tmp_path / 'plain', **second)
    run(voc, tmp_path / '2_densecl', hook, **second)
    assert_same_end(tmp_path / 'plain', tmp_path / '2_densecl', iteration=4)
    found = monitored(tmp_path / '2_densecl')[4]
    assert found['earlier/moco/forgetting'] != 0
    # Its own trunk has forgotten nothing, in whatever state it is read.
    measure = EarlierTasks(dict(moco=stage), batches=2, batch_size=8)
    measure.before_train(None, first.model)
    at_end = measure.measure(first.model, 1)
    assert at_end['earlier/moco/forgetting'] == 0
    assert at_end['earlier/moco/objective'] == pytest.approx(
        found['earlier/moco/objective'] - found['earlier/moco/forgetting'])
    # The old model's memory is as it was.
    again = measure.measure(first.model, 1)
    assert again == at_end
    with torch.no_grad():
        first.model.backbone.conv1.weight.normal_()
    assert measure.measure(first.model, 1)['earlier/moco/forgetting'] != 0
    # What is left over is no batch.
    uneven = EarlierTasks(dict(moco=stage), batches=99, batch_size=13)
    uneven.before_train(None, first.model)
    sizes = {len(batch['inputs'][0])
             for batch in uneven._earlier['moco']._data}
    assert len(first.train_dataloader.dataset) % 13 and sizes == {13}
    # The heads are of no use on a column that reads another one.
    trunk = first.cfg.model.backbone.to_dict()
    other = SimpleNamespace(
        parameters=first.model.parameters,
        backbone=ProgressiveBackbone(
            dict(a=dict(checkpoint='random'), b=dict()), trunk))
    with pytest.raises(ValueError, match='moco has other weights .* leave it '
                       'out of earlier_tasks.stages'):
        EarlierTasks(dict(moco=stage), batches=1,
                     batch_size=8).before_train(None, other)
    with pytest.raises(ValueError, match='gives the stage moco config: set'):
        EarlierTasks(dict(moco=dict(config='x.py')))


def test_drift_from_a_frozen_teacher(voc, tmp_path):
    norm = {'model.backbone.norm_cfg': dict(type='GN', num_groups=1)}
    first = run(voc, tmp_path / 'first', **{'train_cfg.max_iters': 1},
                **norm, **{'model.tasks.densecl': None})
    checkpoint = str(tmp_path / 'first/iter_1.pth')
    backbone = first.cfg.model.backbone.to_dict()
    remember = dict(
        type='mmmultissl.FeatureDistillationTask',
        teacher=dict(backbone=backbone, checkpoint=checkpoint))
    second = {
        'model.tasks.remember': remember,
        'model.backbone.init_cfg': dict(
            type='Pretrained', checkpoint=checkpoint, prefix='backbone.'),
        'train_cfg.max_iters': 4,
        **norm
    }
    run(voc, tmp_path / 'plain', **second)
    runner = run(voc, tmp_path / 'watched', every(1), **second)
    # Three tasks, whose gradients are asked for at every step.
    assert_same_end(tmp_path / 'plain', tmp_path / 'watched', iteration=4)
    found = monitored(tmp_path / 'watched')
    # The memory of 16 holds the last two batches.
    assert found[1]['drift/remember/cosine'] == pytest.approx(1, abs=1e-6)
    assert found[1]['drift/remember/cka'] == pytest.approx(1, abs=1e-5)
    later = found[4]['drift/remember/cosine']
    assert 0 < later < found[1]['drift/remember/cosine'] - 1e-7
    assert found[4]['gradient/norm/remember'] > 0
    assert 'gradient/cosine/densecl:remember' in found[4]
    assert not runner.model.tasks.remember.teacher._forward_hooks


def test_gradients_with_and_without_a_fork(voc, tmp_path):
    """Heads gone through once more, and a balancer's fork, see the same."""
    only = every(1, batch=None, rank=None, queues=None, drift=None)
    options = {
        'train_cfg.max_iters': 3,
        'optim_wrapper.accumulative_counts': 2,
        'default_hooks.checkpoint.interval': 2
    }
    run(voc, tmp_path / 'heads', only, **options)
    run(voc, tmp_path / 'fork', only, **options,
        **{'model.balancer': dict(type='mmmultissl.GradientSum',
                                  _delete_=True)})
    heads, fork = (monitored(tmp_path / name) for name in ('heads', 'fork'))
    assert sorted(heads) == [1, 2, 3]
    for step, numbers in heads.items():
        assert numbers == pytest.approx(fork[step], rel=1e-3)


def test_tasks_of_sound_without_queues():
    """No positives, no keys: spread, rank and gradients are there."""
    torch.manual_seed(0)
    model = planted.build(spatial=planted.spatial(), gap=planted.gap()).train()
    runner = SimpleNamespace(
        model=model,
        iter=0,
        max_iters=1,
        train_dataloader=SimpleNamespace(batch_size=8),
        optim_wrapper=SimpleNamespace())
    hook = MonitorHook()
    hook.before_train(runner)
    hook._report = lambda runner, step, numbers: seen.update(numbers)
    seen = {}
    views, samples = planted.batch(8)
    hook.before_train_iter(runner, 0)
    losses = model.loss(views, samples)
    hook.after_train_iter(runner, 0)
    assert set(seen) == {
        'trunk/cosine', 'trunk/std', 'trunk/uniformity',
        'trunk/effective_rank', 'gradient/norm/spatial', 'gradient/norm/gap',
        'gradient/cosine/spatial:gap'
    }
    # The model's own measure, of the same draws of a step.
    hook.after_train(runner)
    model.request_gram()
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    torch.manual_seed(1)
    losses = model.loss(views, samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    gram = model.last_gram
    assert seen['gradient/norm/gap'] == pytest.approx(
        gram[1, 1].sqrt().item(), rel=1e-3)
    assert seen['gradient/cosine/spatial:gap'] == pytest.approx(
        (gram[0, 1] / (gram[0, 0] * gram[1, 1]).sqrt()).item(), abs=1e-3)


def test_earlier_stages_are_found_by_their_folders(tmp_path):
    for number, (name, updates) in enumerate(
            (('moco', 5), ('empty', 0), ('densecl', 5), ('gap', 5)), 1):
        folder = tmp_path / f'{number}_{name}'
        folder.mkdir()
        if number < 4:
            Record(name, number, [name], updates, 'iter_5.pth', 'a', 1., {},
                   None, 'b').write(str(folder))
    found = stages_before(str(tmp_path / '4_gap'))
    assert found == {
        name: dict(
            config=str(tmp_path / f'{number}_{name}' / 'config.py'),
            checkpoint=str(tmp_path / f'{number}_{name}' / 'iter_5.pth'),
            tasks=[name])
        for number, name in ((1, 'moco'), (3, 'densecl'))
    }
    assert list(stages_before(str(tmp_path / '2_empty'))) == ['moco']
    assert stages_before(str(tmp_path)) == {}
