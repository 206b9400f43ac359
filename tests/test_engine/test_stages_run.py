# Copyright (c) mmmultissl contributors. All rights reserved.
"""Stages one after the other: exact, resumable, and never on other inputs."""
import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.engine.stages import inputs, run_stages

from .stages_toy import (DISTILL, Cut, InProcess, assert_equal, config,
                         make_images)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stages') / 'images'
    make_images(folder)
    return folder


@pytest.fixture(scope='module')
def finished(images, tmp_path_factory):
    """A run without distillation: (its config, its folder)."""
    folder = tmp_path_factory.mktemp('finished')
    cfg = config(images, folder)
    run_stages(cfg, InProcess())
    return cfg, folder


@pytest.fixture
def copied(finished, tmp_path):
    """The same in another place, to be spoilt."""
    cfg, folder = finished
    place = tmp_path / 'run'
    shutil.copytree(folder, place)
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(place)
    return cfg, place


def load(path):
    return torch.load(path, weights_only=True)


def trained_parts(checkpoint):
    """What a run has trained: without a teacher and logs."""
    checkpoint = load(checkpoint)
    states = {
        key: value for key, value in checkpoint['state_dict'].items()
        if not key.startswith('tasks.remember')
    }
    return states, checkpoint['optimizer']['state'], checkpoint[
        'param_schedulers']


def alone(file, work_dir):
    """Train a stage's config by itself."""
    InProcess()(str(file), str(work_dir), False, None, (), None)
    return Path((work_dir / 'last_checkpoint').read_text())


def test_what_is_left_on_the_disk(finished):
    _, folder = finished
    last = folder / '2_densecl' / 'iter_4.pth'
    assert (folder / 'last_checkpoint').read_text() == str(last)
    listed = json.loads((folder / 'stages.json').read_text())
    assert listed['stage_order'] == ['moco', 'densecl']
    assert listed['total_updates'] == 10
    assert [(s['folder'], s['updates'], s['done'])
            for s in listed['stages']] == [('1_moco', 6, True),
                                           ('2_densecl', 4, True)]
    first = json.loads((folder / '1_moco' / 'stage.json').read_text())
    second = json.loads((folder / '2_densecl' / 'stage.json').read_text())
    assert first['checkpoint'] == 'iter_6.pth'
    assert first['sha256'] == sha256_of(str(folder / '1_moco/iter_6.pth'))
    assert second['start_from'] == first['sha256']
    assert first['start_from'] is None and first['teachers'] == {}
    assert second['seconds'] > 0 and second['tasks'] == ['densecl']
    for name, updates in [('1_moco', 6), ('2_densecl', 4)]:
        states = load(folder / name / f'iter_{updates}.pth')['state_dict']
        task, = {key.split('.')[1] for key in states
                 if key.startswith('tasks.')}
        assert task == name[2:]


def test_a_stage_starts_from_the_trunk_of_the_one_before(images, tmp_path):
    cfg = config(images, tmp_path, **{
        'stages.densecl.overrides': {'optim_wrapper.optimizer.lr': 0.}})
    run_stages(cfg, InProcess())
    before = load(tmp_path / '1_moco/iter_6.pth')['state_dict']
    after = load(tmp_path / '2_densecl/iter_4.pth')['state_dict']
    weights = [key for key in after if key.startswith('backbone.')
               and 'running' not in key and 'num_batches' not in key]
    assert len(weights) > 20
    for key in weights:
        assert torch.equal(before[key], after[key]), key
    # The EMA trunk begins anew: as a copy of the trunk.
    assert torch.equal(after['momentum.ema0.backbone.conv1.weight'],
                       before['backbone.conv1.weight'])
    assert not torch.equal(before['momentum.ema0.backbone.conv1.weight'],
                           before['backbone.conv1.weight'])


def test_heads_queues_and_the_ema_can_be_taken_along(images, tmp_path):
    cfg = config(images, tmp_path, **{
        'stages.densecl': dict(
            tasks=('moco', 'densecl'),
            start=dict(momentum=True, tasks=('moco', )),
            # Nothing moves; batch norm is not looked at.
            overrides={
                'optim_wrapper.optimizer.lr': 0.,
                'model.tasks.moco.momentum': 1e-30,
                'model.tasks.densecl.momentum': 1e-30
            })})
    cfg.model.tasks.moco.momentum = cfg.model.tasks.densecl.momentum = 1e-30
    run_stages(cfg, InProcess())
    before = load(tmp_path / '1_moco/iter_6.pth')['state_dict']
    after = load(tmp_path / '2_densecl/iter_4.pth')['state_dict']
    same = ['tasks.moco.neck.mlp.0.weight',
            'momentum.ema0.backbone.conv1.weight',
            'momentum.ema0.tasks.moco.neck.mlp.0.weight']
    for key in same:
        assert torch.equal(before[key], after[key]), key
    assert not torch.equal(before['backbone.conv1.weight'],
                           before['momentum.ema0.backbone.conv1.weight'])
    # The new task's EMA neck is a copy of its neck.
    new = [key for key in after
           if key.startswith('momentum.ema0.tasks.densecl.')
           and key.endswith('.weight')]
    assert new
    for key in new:
        online = key.replace('momentum.ema0.', '')
        assert torch.equal(after[key], after[online]), key
    # The queue goes on where it was: (6 + 4) * 4 keys in a ring of 10.
    assert int(before['tasks.moco.queue._extra_state']) == 24
    assert int(after['tasks.moco.queue._extra_state']) == 40


def test_distillation_of_weight_0_is_sequential_fine_tuning(
        images, finished, tmp_path):
    run_stages(config(images, tmp_path, DISTILL), InProcess())
    for each in ('1_moco/iter_6.pth', '2_densecl/iter_4.pth'):
        plain, distilled = (trained_parts(folder / each)
                            for folder in (finished[1], tmp_path))
        assert len(plain[0]) > 50 and len(plain[1]) > 50
        assert_equal(plain, distilled, each)
    # The teacher was there, and was the first stage's trunk.
    teacher = load(tmp_path / '1_moco/iter_6.pth')['state_dict']
    states = load(tmp_path / '2_densecl/iter_4.pth')['state_dict']
    prefix = 'tasks.remember.teacher.'
    taught = [key for key in states if key.startswith(prefix + 'backbone.')]
    assert len(taught) > 50
    for key in taught:
        assert torch.equal(states[key], teacher[key[len(prefix):]]), key
    record = json.loads((tmp_path / '2_densecl' / 'stage.json').read_text())
    assert record['teachers'] == dict(
        remember=sha256_of(str(tmp_path / '1_moco/iter_6.pth')))


def test_distillation_with_weight_resumes_exactly(images, finished, tmp_path,
                                                  monkeypatch):
    distill = dict(DISTILL, weight=5.)
    run_stages(config(images, tmp_path / 'straight', distill), InProcess())
    monkeypatch.setenv('END_AT', '2_densecl 3 cut')
    cfg = config(images, tmp_path / 'cut', distill)
    with pytest.raises(Cut):
        run_stages(cfg, InProcess())
    monkeypatch.delenv('END_AT')
    run_stages(cfg, InProcess())
    last = '2_densecl/iter_4.pth'
    straight, cut = (trained_parts(tmp_path / name / last)
                     for name in ('straight', 'cut'))
    assert_equal(straight, cut)
    # The comparison with weight 0 is not blind.
    key = 'backbone.conv1.weight'
    assert not torch.equal(straight[0][key],
                           load(finished[1] / last)['state_dict'][key])


def test_all_earlier_stages_and_the_ema_as_teachers(images, tmp_path):
    cfg = config(images, tmp_path, total_updates=6, stage_order=[
        'moco', 'densecl', 'again'], stages=dict(
            moco=dict(updates=None),
            densecl=dict(distill=DISTILL, teacher='last_ema'),
            again=dict(tasks=(), start=dict(trunk=False), teacher='all',
                       distill=dict(DISTILL, weight=1.))))
    run_stages(cfg, InProcess())
    moco = load(tmp_path / '1_moco/iter_2.pth')['state_dict']
    densecl = load(tmp_path / '2_densecl/iter_2.pth')['state_dict']
    again = load(tmp_path / '3_again/iter_2.pth')['state_dict']
    key = 'backbone.layer4.1.conv2.weight'
    assert torch.equal(densecl[f'tasks.remember.teacher.{key}'],
                       moco[f'momentum.ema0.{key}'])
    assert not torch.equal(moco[key], moco[f'momentum.ema0.{key}'])
    assert torch.equal(again[f'tasks.remember_moco.teacher.{key}'], moco[key])
    assert torch.equal(again[f'tasks.remember_densecl.teacher.{key}'],
                       densecl[key])
    assert {name.split('.')[1] for name in again
            if name.startswith('tasks.')} == {'remember_moco',
                                              'remember_densecl'}


def test_stages_as_frozen_columns(images, tmp_path):
    cfg = config(images, tmp_path, total_updates=6, stage_order=[
        'moco', 'densecl', 'again'], stages=dict(
            moco=dict(updates=None),
            densecl=dict(columns=True),
            again=dict(tasks=('moco', ), columns=True)))
    run_stages(cfg, InProcess())
    moco, densecl, again = (
        load(tmp_path / name / 'iter_2.pth')['state_dict']
        for name in ('1_moco', '2_densecl', '3_again'))
    key = 'layer4.1.conv2.weight'
    first = moco[f'backbone.{key}']
    own = densecl[f'backbone.columns.densecl.{key}']
    for later in (densecl, again):
        assert torch.equal(later[f'backbone.columns.moco.{key}'], first)
    assert torch.equal(again[f'backbone.columns.densecl.{key}'], own)
    last = again[f'backbone.columns.again.{key}']
    assert not torch.equal(own, first) and not torch.equal(last, own)
    # Batch norm of a frozen column stays as it was.
    mean = 'bn1.running_mean'
    assert torch.equal(again[f'backbone.columns.moco.{mean}'],
                       moco[f'backbone.{mean}'])
    record = json.loads((tmp_path / '3_again/stage.json').read_text())
    assert record['columns'] == {
        name: json.loads((tmp_path / folder / 'stage.json').read_text())[
            'sha256']
        for name, folder in (('moco', '1_moco'), ('densecl', '2_densecl'))}
    assert record['start_from'] is None


def test_old_heads_as_teachers(images, finished, tmp_path):
    lwf = dict(type='mmmultissl.OldHeadDistillationTask', queue_keys=10)
    run_stages(config(images, tmp_path, lwf), InProcess())
    before = load(tmp_path / '1_moco/iter_6.pth')['state_dict']
    after = load(tmp_path / '2_densecl/iter_4.pth')['state_dict']
    key = 'tasks.moco.neck.mlp.0.weight'
    assert torch.equal(after[f'tasks.remember.teacher.{key}'], before[key])
    # It has changed the run.
    plain = load(finished[1] / '2_densecl/iter_4.pth')['state_dict']
    key = 'backbone.conv1.weight'
    assert not torch.equal(after[key], plain[key])


def test_a_stage_alone_is_the_same_run(finished, tmp_path):
    """Its config is one for tools/train.py."""
    _, folder = finished
    for name, updates in [('1_moco', 6), ('2_densecl', 4)]:
        last = alone(folder / name / 'config.py', tmp_path / name)
        assert last.parent == tmp_path / name
        both = [load(folder / name / f'iter_{updates}.pth'), load(last)]
        for key in ('state_dict', 'optimizer', 'param_schedulers'):
            assert_equal(both[0][key], both[1][key], f'{name} {key}')


def test_finished_stages_are_not_trained_again(copied, capsys):
    cfg, folder = copied
    stamp = (folder / '2_densecl' / 'iter_4.pth').stat().st_mtime_ns
    train = InProcess()
    records = run_stages(cfg, train)
    assert train.trained == [] and len(records) == 2
    assert (folder / '2_densecl' / 'iter_4.pth').stat().st_mtime_ns == stamp
    # The folder was moved, and the pointer follows.
    for pointer in (folder, folder / '2_densecl'):
        assert (pointer / 'last_checkpoint').read_text() == str(
            folder / '2_densecl' / 'iter_4.pth')
    assert capsys.readouterr().out.count('was done before') == 2


def test_what_does_not_matter_may_change(copied):
    cfg, _ = copied
    cfg.log_level = 'ERROR'
    cfg.default_hooks.checkpoint.interval = 3
    cfg.train_dataloader.persistent_workers = False
    train = InProcess()
    run_stages(cfg, train)
    assert train.trained == []


def test_a_stage_without_all_its_updates_is_not_done(images, tmp_path,
                                                     monkeypatch):
    monkeypatch.setenv('END_AT', '1_moco 1 stop')
    with pytest.raises(RuntimeError, match='stage 1 of 2, moco, ended after '
                       'iteration 2 of 6'):
        run_stages(config(images, tmp_path), InProcess())


@pytest.mark.parametrize('ends', ['1_moco 1', '1_moco 5', '2_densecl 0',
                                  '2_densecl 3'])
def test_cut_off_and_resumed_equals_uninterrupted(images, finished, tmp_path,
                                                  monkeypatch, ends):
    _, straight = finished
    cfg = config(images, tmp_path)
    monkeypatch.setenv('END_AT', f'{ends} cut')
    name, iteration = ends.split()
    with pytest.raises(Cut):
        run_stages(cfg, InProcess())
    assert not (tmp_path / name / 'stage.json').exists()
    assert not (tmp_path / 'last_checkpoint').exists()
    monkeypatch.delenv('END_AT')
    train = InProcess()
    run_stages(cfg, train)
    assert train.trained[0] == (name, int(iteration) >= 2)
    assert train.trained[1:] == [('2_densecl', False)] * (name == '1_moco')
    for each in ('1_moco/iter_6.pth', '2_densecl/iter_4.pth'):
        assert_equal(trained_parts(straight / each),
                     trained_parts(tmp_path / each), each)


@pytest.mark.parametrize('changes, words', [
    ({'optim_wrapper.optimizer.lr': 0.2},
     '1_moco was trained with other settings: '
     'optim_wrapper.optimizer.lr was 0.1 and is 0.2. Undo the change'),
    ({'stages.densecl.overrides': {'model.tasks.densecl.momentum': 0.5}},
     '2_densecl was trained with other settings: '
     'model.tasks.densecl.momentum was 0.1 and is 0.5'),
    ({'default_hooks.sampler_seed': None}, 'default_hooks.sampler_seed was '
     '(not set) and is None'),
    (dict(custom_imports=dict(imports=['math'])),
     'custom_imports.imports was'),
    (dict(total_updates=11), '2_densecl was trained with other settings: '
     'train_cfg.max_iters was 4 and is 5'),
    (dict(stage_order=['densecl', 'moco']),
     'holds the stages moco, densecl, but this run has densecl, moco'),
])
def test_other_settings_are_refused(copied, changes, words):
    cfg, _ = copied
    cfg.merge_from_dict(changes)
    train = InProcess()
    with pytest.raises(ValueError) as error:
        run_stages(cfg, train)
    assert words in str(error.value) and '\n' not in str(error.value)
    assert train.trained == []


def test_another_number_of_processes_is_refused(copied, monkeypatch):
    cfg, folder = copied
    # Stage 2 was not begun.
    shutil.rmtree(folder / '2_densecl')
    monkeypatch.setattr(inputs, 'get_world_size', lambda: 2)
    train = InProcess()
    with pytest.raises(ValueError, match='1_moco was trained with other '
                       'settings: number of processes was 1 and is 2'):
        run_stages(cfg, train)
    assert train.trained == []
    # What was begun before this was kept goes on.
    begun = folder / '1_moco' / 'begun.json'
    content = json.loads(begun.read_text())
    assert content['inputs'].pop('number of processes') == 1
    begun.write_text(json.dumps(content))
    run_stages(cfg, train)
    assert train.trained == [('2_densecl', False)]


def test_a_changed_or_missing_checkpoint_is_refused(copied):
    cfg, folder = copied
    (folder / '2_densecl' / 'stage.json').unlink()
    teacher = folder / '1_moco' / 'iter_6.pth'
    content = bytearray(teacher.read_bytes())
    content[-100] ^= 1
    teacher.write_bytes(content)
    with pytest.raises(RuntimeError, match='iter_6.pth is not the file that '
                       'the earlier stage wrote .*put that file back'):
        run_stages(cfg, InProcess())
    # Nor does the stage alone start from it.
    with pytest.raises(RuntimeError, match='is not the file'):
        file = Config.fromfile(folder / '2_densecl' / 'config.py')
        file.start_from.checkpoint = str(teacher)
        file.dump(folder / 'alone.py')
        alone(folder / 'alone.py', folder / 'alone')
    teacher.unlink()
    with pytest.raises(FileNotFoundError, match='There is no .*iter_6.pth, '
                       'the checkpoint of an earlier stage: put it back'):
        run_stages(cfg, InProcess())


def test_foreign_checkpoints_are_left_alone(images, tmp_path):
    (tmp_path / '1_moco').mkdir()
    (tmp_path / '1_moco' / 'iter_5.pth').write_bytes(b'mine')
    with pytest.raises(ValueError, match='no staged run has written'):
        run_stages(config(images, tmp_path), InProcess())


def test_two_runs_do_not_share_a_folder(images, tmp_path):
    cfg = config(images, tmp_path)

    def train(*_):
        with pytest.raises(RuntimeError, match='Another run is at work in'):
            run_stages(cfg, InProcess())
        raise SystemExit(5)

    with pytest.raises(SystemExit):
        run_stages(cfg, train)
    run_stages(cfg, InProcess())  # the lock is gone


def test_an_empty_stage_returns_its_teacher(images, finished, tmp_path):
    cfg = config(images, tmp_path, **{
        'stages.densecl.updates': 0, 'total_updates': 6})
    train = InProcess()
    records = run_stages(cfg, train)
    assert [name for name, _ in train.trained] == ['1_moco']
    assert records[0].sha256 == records[1].sha256
    last = Path((tmp_path / 'last_checkpoint').read_text())
    assert last == tmp_path / '1_moco' / 'iter_6.pth'
    assert (tmp_path / '2_densecl' / records[1].checkpoint).resolve() == last
    assert_equal(load(last)['state_dict'],
                 load(finished[1] / '1_moco/iter_6.pth')['state_dict'])
    run_stages(cfg, train)
    assert len(train.trained) == 1


def test_a_failing_stage_ends_the_run(images, tmp_path, capsys):
    cfg = config(images, tmp_path)
    with pytest.raises(SystemExit) as error:
        run_stages(cfg, lambda *_: 7)
    assert error.value.code == 7
    out = capsys.readouterr().out
    assert 'stage 1 of 2, moco: failed with exit status 7' in out
    assert 'stage 2' not in out.replace('2 densecl', '')


def test_what_does_not_fit_the_start_is_named(images, tmp_path):
    cfg = config(images, tmp_path, **{
        'stages.densecl.overrides': {'model.backbone.base_channels': 16}})
    with pytest.raises(RuntimeError, match='does not fit backbone'):
        run_stages(cfg, InProcess())
    other = tmp_path / 'parts'
    cfg = config(images, other, **{
        'stages.densecl.start': dict(companions=('eye', ))})
    with pytest.raises(ValueError, match='start_from.parts names '
                       'companions.eye.'):
        run_stages(cfg, InProcess())


def test_a_runner_does_not_take_stages_for_one_run(images, tmp_path):
    cfg = config(images, tmp_path)
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(ValueError, match='The config has stages'):
        alone(tmp_path / 'config.py', tmp_path)


def test_a_stage_that_another_run_has_finished_is_copied(
        images, finished, tmp_path, capsys):
    """MoCo v2 is trained already; DenseCL remembers it here, not there."""
    _, other = finished
    train = InProcess()
    cfg = config(images, tmp_path / 'taken', dict(DISTILL, weight=.5))
    records = run_stages(cfg, train, finished=str(other.parent))
    assert train.trained == [('2_densecl', False)]
    assert f'moco: taken over from {other}/1_moco' in capsys.readouterr().out
    own = tmp_path / 'taken' / '1_moco'
    assert records[0].path(str(own)) == str(own / 'iter_6.pth')
    assert (own / 'last_checkpoint').read_text() == str(own / 'iter_6.pth')
    assert [file.name for file in own.glob('*.pth')] == ['iter_6.pth']
    assert list(own.rglob('scalars.json'))
    assert not list(tmp_path.rglob('.*taken_over*'))
    # It is what training all here gives, bit for bit.
    run_stages(config(images, tmp_path / 'all', dict(DISTILL, weight=.5)),
               train)
    for each in ('1_moco/iter_6.pth', '2_densecl/iter_4.pth'):
        both = [trained_parts(tmp_path / folder / each)
                for folder in ('taken', 'all')]
        assert len(both[0][0]) > 50
        assert_equal(*both, each)
    # And it goes on without the other run.
    run_stages(cfg, InProcess())


def test_a_copy_has_the_name_and_place_that_it_has_here(images, finished,
                                                        tmp_path):
    """What a run that was killed has left does not stand in its way."""
    _, other = finished
    cfg = config(images, tmp_path)
    cfg.stages = dict(
        first=dict(tasks=('moco', ), updates=6), densecl=dict())
    cfg.stage_order = ['first', 'densecl']
    (tmp_path / '1_first').mkdir()
    (tmp_path / '1_first' / '.begun.json.partial').write_text('{')
    shutil.copytree(other / '1_moco', tmp_path / '.taking')
    record = run_stages(cfg, InProcess(), finished=str(other))[0]
    assert (record.name, record.number) == ('first', 1)
    kept = json.loads((tmp_path / '1_first' / 'stage.json').read_text())
    assert kept['name'] == 'first' and kept['sha256'] == sha256_of(
        str(other / '1_moco' / 'iter_6.pth'))
    text = (tmp_path / '1_first' / 'config.py').read_text()
    assert 'stage 1 of 2, first' in text.splitlines()[0]
    assert not (tmp_path / '.taking').exists()
    assert not list((tmp_path / '1_first').glob('.*'))


@pytest.mark.parametrize('spoil', ['settings', 'bytes', 'gone', 'unfinished',
                                   'no seed', 'hooks', 'foreign'])
def test_other_or_spoilt_stages_are_not_copied(images, copied, tmp_path,
                                               spoil):
    _, other = copied
    first = other / '1_moco'
    cfg = config(images, tmp_path / 'new')
    if spoil == 'settings':
        cfg.randomness.seed = 8
    elif spoil == 'no seed':
        # Each run draws one of its own.
        cfg.randomness.seed = None
        shutil.rmtree(other)
        run_stages(
            Config({**cfg.to_dict(), 'work_dir': str(other)}), InProcess())
    elif spoil == 'hooks':
        cfg.default_hooks.sampler_seed = None
    elif spoil == 'foreign':
        (first / 'stage.json').write_text('{"scene": 1}')
    elif spoil == 'bytes':
        (first / 'iter_6.pth').write_bytes(b'something else')
    elif spoil == 'gone':
        (first / 'iter_6.pth').unlink()
    else:
        (first / 'stage.json').unlink()
    train = InProcess()
    run_stages(cfg, train, finished=str(other))
    # The second would start from a file with another checksum.
    assert train.trained == [('1_moco', False), ('2_densecl', False)]


def test_the_folder_of_finished_stages_must_be_there(images, tmp_path):
    with pytest.raises(FileNotFoundError, match='--finished-stages'):
        run_stages(config(images, tmp_path / 'new'), InProcess(),
                   finished=str(tmp_path / 'nowhere'))
