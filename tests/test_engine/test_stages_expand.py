# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a config with stages means, without running it."""
import itertools

import pytest
from mmengine.config import Config

from mmmultissl.engine.stages import all_orders, expand_stages, pinned
from mmmultissl.engine.stages.config_text import text_of
from mmmultissl.engine.stages.inputs import (digest_of, inputs_of,
                                             require_same_inputs)
from mmmultissl.engine.stages.progress import StageProgress, overview


def config(**changes):
    """Three tasks, of which only the names matter."""
    cfg = Config(
        dict(
            model=dict(
                backbone=dict(type='mmpretrain.ResNet', depth=18),
                tasks=dict(a=dict(type='A'), b=dict(type='B'),
                           c=dict(type='C')),
                balancer=dict(weights=dict(a=1., b=2.))),
            train_cfg=dict(type='mmmultissl.PretrainLoop', max_epochs=200),
            optim_wrapper=dict(optimizer=dict(lr=0.1)),
            randomness=dict(seed=3),
            load_from='given.pth',
            stages=dict(a=dict(), b=dict(), c=dict()),
            stage_order=['a', 'b', 'c'],
            total_updates=100))
    cfg.merge_from_dict(changes)
    return cfg


def used(stage):
    return set(stage.cfg.model.tasks)


def test_stages_are_ordinary_configs():
    stages = expand_stages(config(), '/run')
    assert [stage.name for stage in stages] == ['a', 'b', 'c']
    assert [stage.work_dir for stage in stages] == [
        '/run/1_a', '/run/2_b', '/run/3_c']
    assert [stage.updates for stage in stages] == [34, 33, 33]
    assert sum(stage.updates for stage in stages) == 100
    for stage in stages:
        assert used(stage) == {stage.name} == set(stage.tasks)
        assert not {'stages', 'stage_order', 'total_updates',
                    'work_dir'} & set(stage.cfg)
        assert stage.cfg.train_cfg == dict(
            type='mmmultissl.PretrainLoop',
            max_iters=stage.updates,
            max_epochs=None)
    first, second, third = (stage.cfg for stage in stages)
    assert first.load_from == 'given.pth' and 'start_from' not in first
    assert second.load_from is None
    assert second.start_from == dict(
        checkpoint='/run/1_a/iter_34.pth', sha256=None, parts=['backbone.'])
    assert third.start_from.checkpoint == '/run/2_b/iter_33.pth'
    # A balancer refuses weights of tasks that are not there.
    assert first.model.balancer.weights == dict(a=1.)
    assert second.model.balancer.weights == dict(b=2.)
    # The first stage is a run with the config's seed; no later one repeats
    # its augmentations.
    seeds = [each.randomness.seed for each in (first, second, third)]
    assert seeds[0] == 3 and len(set(seeds)) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_expanding_changes_nothing_and_depends_on_nothing_else():
    cfg = config()
    before = cfg.to_dict()
    first = expand_stages(cfg, '/run')
    again = expand_stages(cfg, '/run')
    assert cfg.to_dict() == before
    assert [s.cfg.to_dict() for s in first] == [
        s.cfg.to_dict() for s in again]


def test_all_orders():
    cfg = config(stage_order=['b', 'a', 'c'])
    assert all_orders(cfg) == list(itertools.permutations('bac'))
    for order in all_orders(cfg):
        cfg.stage_order = list(order)
        stages = expand_stages(cfg, '/run')
        assert tuple(stage.name for stage in stages) == order
        assert sum(stage.updates for stage in stages) == 100
        assert stages[0].start is None and stages[2].start == 2


def test_updates_are_of_the_optimiser():
    cfg = config(**{'stages.b.overrides':
                    {'optim_wrapper.accumulative_counts': 4}})
    stages = expand_stages(cfg, '/run')
    assert [stage.iterations for stage in stages] == [34, 132, 33]
    assert stages[1].cfg.train_cfg.max_iters == 132
    assert stages[2].cfg.start_from.checkpoint.endswith('2_b/iter_132.pth')


def test_given_updates_leave_the_others_the_rest():
    stages = expand_stages(config(**{'stages.b.updates': 51}), '/run')
    assert [stage.updates for stage in stages] == [25, 51, 24]


def test_overrides_are_of_one_stage():
    cfg = config(**{'stages.b.overrides': dict(
        optim_wrapper=dict(optimizer=dict(lr=0.5)),
        randomness=dict(seed=11))})
    stages = expand_stages(cfg, '/run')
    assert [s.cfg.optim_wrapper.optimizer.lr for s in stages] == [
        0.1, 0.5, 0.1]
    assert stages[1].cfg.randomness.seed == 11


def test_what_a_stage_takes_over():
    cfg = config(**{
        'stages.b': dict(
            tasks=('a', 'b'),
            start=dict(momentum=True, tasks=('a', ), companions=('eye', ))),
        'stages.c.start': dict(trunk=False)
    })
    _, second, third = expand_stages(cfg, '/run')
    assert used(second) == {'a', 'b'}
    assert second.cfg.start_from.parts == [
        'backbone.', 'tasks.a.', 'companions.eye.', 'momentum.ema0.backbone.',
        'momentum.ema0.tasks.a.']
    assert third.start is None and 'start_from' not in third.cfg


DISTILL = dict(distance=dict(type='mmmultissl.EuclideanDistance'))


def test_an_ema_teacher_has_no_old_heads():
    cfg = config(**{
        'stages.c.distill':
        dict(type='mmmultissl.OldHeadDistillationTask'),
        'stages.c.teacher': 'last_ema'
    })
    with pytest.raises(ValueError, match="stages.c has the teacher 'last_ema'"
                       ".* set its teacher to 'last'"):
        expand_stages(cfg, '/run')


@pytest.mark.parametrize('teacher, tasks, prefix', [
    ('last', dict(remember=2), 'backbone.'),
    ('last_ema', dict(remember=2), 'momentum.ema0.backbone.'),
    ('all', dict(remember_a=1, remember_b=2), 'backbone.'),
])
def test_teachers(teacher, tasks, prefix):
    cfg = config(**{
        'stages.a.distill': DISTILL,
        'stages.b.overrides': {'model.backbone.depth': 34},
        'stages.c.distill': DISTILL,
        'stages.c.teacher': teacher
    })
    first, second, third = expand_stages(cfg, '/run')
    assert first.teachers == second.teachers == {}
    assert third.teachers == tasks
    assert used(third) == {'c', *tasks}
    paths = {1: '/run/1_a/iter_34.pth', 2: '/run/2_b/iter_33.pth'}
    for name, number in tasks.items():
        task = third.cfg.model.tasks[name]
        assert task.type == 'mmmultissl.FeatureDistillationTask'
        assert task.distance == DISTILL['distance']
        # The trunk is the teacher's, which may be another one.
        assert task.teacher == dict(
            backbone=dict(type='mmpretrain.ResNet',
                          depth=18 if number == 1 else 34),
            checkpoint=paths[number],
            sha256=None,
            prefix=prefix)
    done = pinned(third, {
        1: ('/x/1.pth', '1' * 64),
        2: ('/x/2.pth', '2' * 64)
    })
    for name, number in tasks.items():
        teacher = done.model.tasks[name].teacher
        assert teacher.checkpoint == f'/x/{number}.pth'
        assert teacher.sha256 == str(number) * 64
    assert done.start_from.sha256 == '2' * 64
    assert third.cfg.start_from.sha256 is None


def test_learning_without_forgetting_gets_the_old_heads():
    cfg = config(**{
        'stages.b.distill': dict(type='mmmultissl.OldHeadDistillationTask'),
        'stages.a.overrides': {'model.tasks.a.width': 3},
        'model.companions': dict(eye=dict(type='E'), ear=None)})
    task = expand_stages(cfg, '/run')[1].cfg.model.tasks.remember
    assert task.heads == dict(a=dict(type='A', width=3))
    assert task.companions == dict(eye=dict(type='E'))
    assert task.teacher.prefix == 'backbone.'


def test_an_empty_stage_is_passed_through():
    cfg = config(**{'stages.b.updates': 0, 'stages.b.distill': DISTILL,
                    'stages.c.distill': DISTILL, 'stages.c.teacher': 'all'})
    stages = expand_stages(cfg, '/run')
    assert [stage.updates for stage in stages] == [50, 0, 50]
    assert stages[1].start is None and stages[1].teachers == {}
    assert stages[2].start == 1 and stages[2].teachers == dict(remember_a=1)


@pytest.mark.parametrize('changes, words', [
    (dict(stage_order=['a', 'd']), 'stage_order names d, which is no stage: '
     'there are a, b, c'),
    (dict(stage_order=['a', 'b', 'a']), 'stage_order names a twice'),
    (dict(stage_order=[]), 'stage_order is empty'),
    (dict(total_updates=None), 'total_updates is None'),
    (dict(total_updates=2), 'total_updates=2 leaves 2 updates for the stages '
     'a, b, c'),
    ({'stages.a.updates': 101}, 'have 101 updates, but total_updates is 100'),
    ({'stages.a.updates': 1, 'stages.b.updates': 1, 'stages.c.updates': 1},
     'have 3 updates, but total_updates is 100'),
    ({'stages.a.updates': 0}, 'The first stage a has no updates'),
    ({'stages.a.updates': 1.5}, 'stages.a.updates is 1.5'),
    ({'stages.a.update': 3}, 'key update, which nobody reads: did you mean '
     'updates?'),
    ({'stages.b.start': dict(head=True)}, 'stages.b.start has the key head'),
    ({'stages.b.start': dict(tasks=('a', ))}, 'start.tasks names a, which '
     'must be a task of the stage b and of a'),
    ({'stages.b.teacher': 'first'}, "teacher is 'first': set it to one of"),
    ({'stages.b.distill': dict(teacher='x')}, 'stages.b.distill sets a '
     'teacher'),
    ({'stages.b.tasks': ('d', )}, 'trains the task d, but of the tasks in '
     'model.tasks there are a, b, c'),
    ({'model': dict(tasks=dict(_delete_=True))}, 'a model without tasks'),
    ({'stages.b.tasks': ()}, 'The stage b has no task'),
    ({'stages.b.overrides': dict(train_cfg=dict(max_iters=9))},
     'overrides sets train_cfg.max_iters: set stages.b.updates'),
    ({'stages.b.overrides': {'train_cfg.max_epochs': 9}},
     'overrides sets train_cfg.max_epochs'),
    ({'stages.b.overrides': dict(optim_wraper=dict(x=1))},
     'stages.b.overrides: Nobody reads optim_wraper: did you mean optim_'),
    ({'stages.b.overrides': dict(model=dict(tasks=dict(bb=None)))},
     'stages.b.overrides: model.tasks.bb=None leaves out a task'),
    ({'train_cfg.type': 'IterBasedTrainLoop'}, 'train_cfg.type='
     'IterBasedTrainLoop'),
    ({'model.tasks.remember': dict(type='A'), 'stages.b.tasks':
      ('b', 'remember'), 'stages.b.distill': DISTILL},
     'has a task "remember" already'),
    (dict(stage_order=5), 'stage_order is 5, but must be a list of texts'),
    (dict(stages=['a']), "stages is ['a'], but must be a dict"),
    ({'stages.b/c': dict(tasks='b'), 'stage_order': ['a', 'b/c']},
     "The stage 'b/c' cannot name a folder"),
    ({'stages.b': 'b'}, "stages.b is 'b', but must be a dict"),
    ({'stages.b.tasks': 3}, 'stages.b.tasks is 3, but must be a list'),
    ({'stages.b.start': False}, 'stages.b.start is False, but must be a'),
    ({'stages.b.start': ['trunk']}, "stages.b.start is ['trunk'], but must"),
    ({'stages.b.start': dict(trunk='no')}, "stages.b.start.trunk is 'no': "
     'set it to True or False'),
    ({'stages.b.columns': 'yes'}, "stages.b.columns is 'yes': set it to"),
    ({'stages.b.teacher': 'all'}, "stages.b has the teacher 'all' and no "
     'distill'),
    ({'stages.b.distill': 'euclidean'}, "stages.b.distill is 'euclidean', "
     'but must be a dict'),
    ({'stages.b.overrides': ['x']}, "stages.b.overrides is ['x'], but must"),
    ({'stages.b.overrides': dict(total_updates=9)},
     'stages.b.overrides sets total_updates, which is of the whole run'),
    ({'randomness.seed': 'x'}, "randomness.seed is 'x': set it to a whole"),
])
def test_mistakes_are_named(changes, words):
    with pytest.raises(ValueError) as error:
        expand_stages(config(**changes), '/run')
    assert words in str(error.value)
    assert '\n' not in str(error.value)


def test_amalgamation_needs_no_pretext_task():
    cfg = config(**{'stages.c': dict(tasks=(), distill=DISTILL,
                                     teacher='all', start=dict(trunk=False))})
    third = expand_stages(cfg, '/run')[2]
    assert used(third) == {'remember_a', 'remember_b'}
    assert third.start is None


def test_one_name_on_the_command_line():
    assert [s.updates for s in expand_stages(config(stage_order='b'),
                                             '/run')] == [100]


def test_one_name_in_place_of_a_list():
    stages = dict(b=dict(tasks='b', start=dict(companions='visual')))
    second = expand_stages(config(stages=stages), '/run')[1]
    assert second.tasks == ('b', )
    assert second.cfg.start_from.parts == ['backbone.', 'companions.visual.']


def test_a_distillation_can_be_switched_off_with_its_teacher_left():
    second = expand_stages(
        config(stages=dict(b=dict(teacher='all', distill=None))), '/run')[1]
    assert used(second) == {'b'}


def test_inputs_leave_out_what_does_not_matter():
    def digest(work_dir='/run', options=(), **changes):
        third = expand_stages(config(**changes), work_dir)[2]
        return digest_of(inputs_of(third.cfg, work_dir, options))

    same = digest()
    # The folder may be moved, and worker processes change nothing.
    assert digest('/elsewhere') == same
    assert digest(**{'train_dataloader': dict(num_workers=3)}) == \
        digest(**{'train_dataloader': dict(num_workers=4)})
    assert digest(log_level='WARNING') == same
    for changes in ({'optim_wrapper.optimizer.lr': 0.2},
                    {'model.tasks.c.x': 1}, {'randomness.seed': 4}):
        assert digest(**changes) != same
    assert digest(options=['--amp']) != same


def test_files_that_the_config_begins_from_are_known_by_content(tmp_path):
    path = tmp_path / 'start.pth'
    path.write_bytes(b'one')

    def inputs(**changes):
        stage, = expand_stages(config(stage_order='a', **changes), '/run')
        return inputs_of(stage.cfg, '/run')

    begins = {'load_from': str(path)}
    old = inputs(**begins)
    require_same_inputs(old, inputs(**begins), '/run/1_a')
    path.write_bytes(b'two')
    with pytest.raises(ValueError, match='load_from \\(SHA-256\\) was'):
        require_same_inputs(old, inputs(**begins), '/run/1_a')
    nested = {'model.backbone.init_cfg': [dict(checkpoint=str(path))]}
    assert 'model.backbone.init_cfg.0.checkpoint (SHA-256)' in inputs(**nested)
    # Pinned, it is checked when it is read.
    pinned = {'model.backbone.columns': dict(
        x=dict(checkpoint=str(path), sha256='f00'))}
    assert not any(key.endswith('(SHA-256)') for key in inputs(**pinned))
    # Gone after it was needed, and begun before this was kept.
    path.unlink()
    require_same_inputs(old, inputs(**begins), '/run/1_a')
    path.write_bytes(b'two')
    kept = {key: value for key, value in old.items() if '(SHA' not in key}
    require_same_inputs(kept, inputs(**begins), '/run/1_a')


def test_hooks_that_are_on_by_default_count_where_they_may_matter():
    def inputs(**hooks):
        stage, = expand_stages(
            config(stage_order='a', default_hooks=hooks), '/run')
        return inputs_of(stage.cfg, '/run')

    seeds = dict(sampler_seed=dict(type='DistSamplerSeedHook'))
    assert inputs(logger=dict(interval=3), **seeds) == inputs(**seeds)
    with pytest.raises(ValueError, match='default_hooks.sampler_seed.type'):
        require_same_inputs(
            inputs(**seeds), inputs(sampler_seed=None), '/run/1_a')
    begun_before = {
        key: value
        for key, value in inputs(**seeds).items() if 'default_hooks' not in key
    }
    require_same_inputs(begun_before, inputs(**seeds), '/run/1_a')


def test_the_file_of_a_stage_is_its_config(tmp_path):
    cfg = config(**{'stages.a.tasks': ('c', 'a'), 'model.views': ('x', 1e-7),
                    'model.note': 'it\'s "so"\n'})
    cfg.model.tasks = dict(c=dict(type='C'), a=dict(type='A'),
                           b=dict(type='B'))
    stage = expand_stages(cfg, '/run')[0].cfg
    (tmp_path / 'config.py').write_text(text_of(stage, 'a stage'))
    read = Config.fromfile(tmp_path / 'config.py')
    assert read.to_dict() == stage.to_dict()
    # mmengine would sort these, and other weights would be drawn.
    assert list(read.model.tasks) == ['c', 'a']
    stage.model.x = float('inf')
    with pytest.raises(ValueError, match='something in model that cannot'):
        text_of(stage, 'a stage')


def test_the_budget_is_told_beforehand():
    cfg = config(total_updates=9000, **{
        'stages.b.distill': DISTILL, 'stages.c.updates': 0})
    text = overview(expand_stages(cfg, '/run'), '/run')
    assert text.splitlines() == [
        '3 stages, 9,000 updates in all, in /run',
        '  1 a  4,500 updates: trains a',
        '  2 b  4,500 updates: trains b; starts from a (backbone.); '
        'remembers a',
        '  3 c      0 updates: empty, hands on what it gets',
    ]


def test_progress_counts_updates_and_all_stages(capsys, monkeypatch):
    import mmmultissl.engine.stages.progress as module
    cfg = config(total_updates=3000, **{
        'optim_wrapper.accumulative_counts': 2})
    stages = expand_stages(cfg, '/run')
    clock = iter([0., 0., 100., 110., 150.])
    monkeypatch.setattr(module.time, 'monotonic', lambda: next(clock))
    read = StageProgress(stages[1], stages)
    read('Tasks: b.')
    for done in (100, 300, 320, 2000):
        read(f'mmengine - INFO - Iter(train) [ {done}/2000]  lr: 1 loss: 7')
    # 100 updates in 100 s; 850 of this stage and 1,000 of the next are left.
    assert capsys.readouterr().out.splitlines() == [
        'stage 2 of 3, b: 150 of 1,000 updates, about 30 min 50 s left in all',
        'stage 2 of 3, b: 1,000 of 1,000 updates, about 2 min 38 s left in '
        'all',
    ]


def test_columns_are_the_stages_before():
    stages = expand_stages(
        config(stages=dict(b=dict(columns=True), c=dict(columns=True))),
        '/run')
    assert [stage.columns for stage in stages] == [{}, dict(a=1),
                                                   dict(a=1, b=2)]
    assert all(stage.start is None for stage in stages)
    assert stages[0].cfg.model.backbone.type == 'mmpretrain.ResNet'
    sources = {2: ('/b.pth', 'f00'), 1: ('/a.pth', 'e11')}
    columns = pinned(stages[2], sources).model.backbone.columns
    assert list(columns) == ['a', 'b', 'c'] and columns.c == {}
    assert (columns.a.checkpoint, columns.a.sha256) == sources[1]
    assert (columns.b.checkpoint, columns.b.sha256) == sources[2]
    assert 'reads the columns a, b' in overview(stages, '/run')


def test_a_column_of_its_own_starts_from_nothing():
    with pytest.raises(ValueError, match='stages.b.start to False'):
        expand_stages(
            config(stages=dict(b=dict(columns=True, start=dict(trunk=True)))),
            '/run')


def test_hooks_that_only_look_may_change():
    cfg = config(custom_hooks=[dict(type='EndHook')])
    watched = config(custom_hooks=[
        dict(type='mmmultissl.MonitorHook', knn=None), dict(type='EndHook')])
    assert inputs_of(cfg, '/run') == inputs_of(watched, '/run')
    other = config(custom_hooks=[dict(type='OtherHook')])
    assert inputs_of(cfg, '/run') != inputs_of(other, '/run')
