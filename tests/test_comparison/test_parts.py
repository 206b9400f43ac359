# Copyright (c) mmmultissl contributors. All rights reserved.
"""Rows, budgets, placeholders, lists and figures, each by itself."""
import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmmultissl.comparison import (Planner, gains_of, plan_hash,
                                   read_comparison, write_dev_lists)
from mmmultissl.comparison.budget import budget_table
from mmmultissl.comparison.configs import merge, write_text
from mmmultissl.comparison.evaluations import (look_up, make_evaluations,
                                               read_figures)
from mmmultissl.comparison.placeholders import fill, keep, rows_in
from mmmultissl.comparison.results import seconds_of
from mmmultissl.comparison.rows import Row, expand, make_rows
from mmmultissl.comparison.start import begin
from mmmultissl.comparison.statistics import difference_of, spread_of
from mmmultissl.comparison.voc_lists import dev_images
from mmmultissl.datasets.demo_images import write_demo_images
from mmmultissl.evaluation.svm import read_voc_lists
from mmmultissl.visualization.report.comparison.embedding import \
    principal_plane
from mmmultissl.visualization.report.comparison.forgetting import matrix_lines
from mmmultissl.visualization.report.comparison.interval_plot import \
    interval_plot
from mmmultissl.visualization.report.comparison.logs import Log, Stage

from .small import write_comparison


def read(folder, **settings):
    return read_comparison(
        str(write_comparison(folder, **settings)), folder / 'work')


# Budgets


def test_a_row_is_given_what_its_parts_leave(tmp_path):
    found = read(
        tmp_path,
        rows=dict(
            half=dict(part=True, updates=2),
            c=dict(parts=['half'], cfg_options={'model.teacher': '{row:half}'})
        ))
    assert found.budgets['c'].own == 4 and found.budgets['c'].total == 6
    assert found.configs['c'].train_cfg.max_iters == 4
    assert found.configs['half'].train_cfg.max_iters == 2
    # The config counted passes.
    assert found.configs['a'].train_cfg.max_epochs is None
    assert found.shown == ('a', 'b', 'c')


def test_parts_of_rows_that_were_left_out_are_not_trained(tmp_path):
    rows = dict(
        first=dict(part=True, updates=1),
        half=dict(
            part=True, updates=2, cfg_options={'model.teacher':
                                               '{row:first}'}),
        other=dict(part=True, updates=2),
        judge=dict(part=True, updates=1),
        e=dict(
            parts=['half', 'first'],
            cfg_options={'model.teacher': '{row:half}'},
            evaluations=dict(judge=dict(args=['{row:judge}']))),
        d=dict(parts=['other'], cfg_options={'model.teacher': '{row:other}'}))
    found = read(tmp_path, rows=rows)
    assert [*found.rows] == [*found.configs] == [*found.budgets]
    assert [*found.rows] == ['a', 'b', 'c', *rows]
    for left_out, left in (('d', ['first', 'half', 'judge', 'e']),
                           ('e', ['other', 'd'])):
        some = {name: row for name, row in rows.items() if name != left_out}
        assert [*read(tmp_path, rows=some).rows] == ['a', 'b', 'c', *left]


def test_updates_are_steps_over_the_accumulation(tmp_path):
    found = read(
        tmp_path,
        rows=dict(a=dict(cfg_options={'optim_wrapper.accumulative_counts': 4})
                  ))
    assert found.configs['a'].train_cfg.max_iters == 24
    assert found.budgets['a'].total == 6


@pytest.mark.parametrize('rows, words', [
    (dict(b=dict(cfg_options={'train_cfg.max_iters': 7})),
     'The row b costs 7 updates'),
    (dict(half=dict(part=True, updates=2), b=dict(parts=['half'], updates=5)),
     r'The row b costs 7 updates \(5 \+ 2 of half\), but total_updates is 6'),
    (dict(half=dict(part=True), b=dict(parts=['half'])), 'set its updates'),
    (dict(b=dict(parts=['a'])), 'leave it 0 of the 6 updates'),
    (dict(b=dict(parts=['nobody'])), 'is made of nobody'),
    (dict(b=dict(parts=['c']), c=dict(parts=['b'])), 'counts its own updates'),
    (dict(b=dict(cfg_options={
        'optim_wrapper.accumulative_counts': 4,
        'train_cfg.max_iters': 6
    })), 'no whole number'),
    (dict(b=dict(cfg_options={'train_cfg.type': 'EpochBasedTrainLoop'})),
     'does not count updates'),
])
def test_another_budget_is_an_error(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, rows=rows)
    assert '\n' not in str(error.value)


def test_rows_that_a_row_uses_count_however_it_uses_them(tmp_path):
    found = read(
        tmp_path,
        rows=dict(
            first=dict(part=True, updates=1),
            # A part of a part, and a row that only a placeholder names.
            second=dict(part=True, updates=2, parts=['first']),
            third=dict(part=True, updates=1,
                       cfg_options={'model.teacher': '{row:first}'}),
            b=dict(parts=['second'],
                   cfg_options={'model.teacher': '{row:second}'}),
            c=dict(updates=4, cfg_options={'model.sha256': '{sha256:third}'}),
            d=dict(train=False, checkpoint='{row:a}')))
    assert found.budgets['b'].parts == dict(second=2, first=1)
    assert found.budgets['b'].own == 3
    assert found.budgets['c'].parts == dict(third=1, first=1)
    assert found.budgets['d'].own == 0 and found.budgets['d'].total == 6
    assert {found.budgets[row].total for row in found.shown} == {6}


@pytest.mark.parametrize('rows, words', [
    (dict(b=dict(cfg_options={'model.t': '{row:c}'})),
     r'The row b costs 12 updates \(6 \+ 6 of c\).*name c in its parts'),
    (dict(half=dict(part=True, updates=3),
          b=dict(train=False, checkpoint='{row:half}')),
     r'The row b costs 3 updates \(0 \+ 3 of half\)'),
])
def test_a_row_that_is_used_without_a_share_is_an_error(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words) as error:
        read(tmp_path, rows=rows)
    assert '\n' not in str(error.value)


def test_batches_of_stages_stand_beside_the_budget(tmp_path):
    base = tmp_path / 'stages.py'
    base.write_text('''
model = dict(tasks=dict(x=dict(), y=dict()))
train_cfg = dict(type='mmmultissl.PretrainLoop', max_iters=7)
train_dataloader = dict(batch_size=16)
optim_wrapper = dict()
randomness = dict(seed=0)
stages = dict(x=dict(), y=dict(
    overrides=dict(train_dataloader=dict(batch_size=8))))
stage_order = ['x', 'y']
total_updates = 6
''')
    found = read(tmp_path, rows=dict(b=dict(config=str(base))))
    lines = {line[0]: line for line in budget_table(found.rows, found.budgets)}
    assert lines['b'][4] == '16, 8' and lines['a'][4] == '16'


def test_a_row_may_cost_more_if_it_says_why(tmp_path):
    found = read(
        tmp_path,
        rows=dict(c=dict(updates=12, beyond_budget='twice, as published')))
    assert found.budgets['c'].total == 12
    assert found.budgets['c'].note == 'twice, as published'


# Rows


def test_sweeps_make_all_combinations(tmp_path):
    base = tmp_path / 'stages.py'
    base.write_text('stages = dict(x=dict(), y=dict(), z=dict(), w=None)\n')
    row = Row('il', str(base), {'k': 1}, sweep=dict(
        orders=True, options=dict(near={'d': 'e'}, far={'d': 'c'})))
    made = expand(row)
    assert len(made) == 12
    assert made[0].name == 'il_x-y-z_near'
    assert made[-1].cfg_options == dict(
        k=1, d='c', stage_order=['z', 'y', 'x'])
    made = expand(
        Row('mt', 'c.py', sweep=dict(
            balancer=['PCGrad', 'other.MGDA'], weights=[dict(a=1, b=.5)])))
    assert [each.name for each in made] == [
        'mt_PCGrad_a1-b0.5', 'mt_MGDA_a1-b0.5']
    made = expand(Row('mt', 'c.py', sweep=dict(balancer=['PCGrad'])))
    cfg = Config(dict(model=dict(balancer=dict(
        type='mmmultissl.FixedWeights', weights=dict(a=1)))))
    # Nothing of the other balancer is left.
    assert merge(cfg, made[0].cfg_options).model.balancer == dict(
        type='mmmultissl.PCGrad')
    with pytest.raises(ValueError, match='sweep of the row mt has the key '
                       'seed, which nobody reads'):
        expand(Row('mt', 'c.py', sweep=dict(seed=[1])))


@pytest.mark.parametrize('settings, words', [
    (dict(rows={'a/b': {}}), 'cannot name a folder'),
    (dict(rows=dict(b=dict(confg='x'))), 'The row b has the key confg, which '
     'nobody reads: did you mean config'),
    (dict(rows=dict(b=dict(train=False))), 'has no checkpoint to evaluate'),
    (dict(rows=dict(b=dict(evaluations=dict(other=None)))),
     'but there are judge'),
    (dict(reference='nobody'), 'is not in the table'),
    (dict(evaluations=dict(e=dict(kind='voc07'))), 'which figure counts'),
    (dict(evaluations=dict(e=dict(kind='voc', metric='x'))), 'one of voc07'),
    (dict(evaluations=dict(e=dict(kind='train', metric='x'))),
     'needs a config'),
    (dict(total_updates='6'), 'total_updates of .* is a str'),
    (dict(rows=dict(b=dict(config='nowhere.py'))), 'The row b: There is no'),
    (dict(rows=dict(b=dict(cfg_options={'optim_wraper.x': 1}))),
     'The row b: Nobody reads optim_wraper.x: did you mean optim_wrapper'),
    (dict(rows=dict(b=dict(cfg_options={'model.tasks.mocoo': None}))),
     'The row b: model.tasks.mocoo=None leaves out a task'),
    (dict(rows=dict(b=dict(cfg_options=['x']))), 'b.cfg_options is .*a dict'),
    (dict(rows=dict(b=dict(updates='3'))), "row b.updates is '3': set it to "
     'a whole number, at least 1'),
    (dict(rows=dict(b=dict(share='half'))), "row b.share is 'half': set it to "
     'a number above 0 and up to 1'),
    (dict(rows=dict(b=dict(share=2))), 'row b.share is 2: set it'),
    (dict(rows=dict(b=dict(part='no'))), "row b.part is 'no': set it to True"),
    (dict(rows=dict(b=dict(sweep='orders'))), "b.sweep is 'orders', but must"),
    (dict(rows=dict(b=dict(sweep=dict(options=['x'])))), 'options of the row '
     'b is .*must be a dict'),
    (dict(rows=dict(b=dict(sweep=dict(options={})))), 'name what to sweep'),
    (dict(rows=dict(b=dict(sweep=dict(weights=dict(a=1))))), 'weights of the '
     'row b is .*must be a list of dicts'),
    (dict(rows=dict(b=dict(sweep=dict(weights=[dict(a='x')])))),
     "The weight of a in sweep.weights of the row b is 'x'"),
    (dict(baselines=['a'], rows=dict(b=dict(
        cfg_options={'model.tasks': dict(moco=dict(t=1))},
        sweep=dict(weights=[dict(moco=1, mocoo=2)])))),
     'The row b_moco1-mocoo2: model.balancer.weights names the task mocoo, '
     'but the tasks of its model are moco: correct'),
    (dict(rows=dict(b=dict(sweep=dict(balancer='PCGard')))),
     'is of the type mmmultissl.PCGard, which is no balancer: there are CAGr'),
    (dict(rows=dict(b=dict(sweep=dict(balancer=dict(x=dict(
        type='mmmultissl.GradNorm', gama=1)))))),
     'balancer of the row b.x .GradNorm. has no argument "gama"'),
    (dict(seeds=0), 'seeds of .* is a int'),
    (dict(seeds=[]), r'seeds is \[\]: set it to a list of whole numbers'),
    (dict(seeds=[0, 0]), r'seeds is \[0, 0\]: set'),
    (dict(seeds=['0']), r"seeds is \['0'\]: set"),
    (dict(seeds=[-1]), r'seeds is \[-1\]: set'),
    (dict(prepare=dict(x=dict(command=['a']))), 'prepare.x has no output'),
    (dict(prepare=dict(x=dict(command='a', output='b'))),
     "prepare.x.command is 'a', but must be a list"),
    (dict(prepare=dict(x=dict(command=['a'], ouput='b'))),
     'prepare.x has the key ouput, which nobody reads: did you mean output'),
    (dict(lists=dict(voc=dict(root='a', shares=.3))),
     'lists.voc has the key shares, which nobody reads: did you mean share'),
    (dict(lists=dict(voc=dict(share=.3))), 'lists.voc has no root'),
    (dict(evaluations=dict(e='voc07')), 'The evaluation e is .*must be a'),
    (dict(evaluations=dict(e=dict(kind='voc07', metric='x', args='a b'))),
     "The evaluation e.args is 'a b', but must be a list"),
    (dict(evaluations=dict(e=dict(kind='voc07', metrics=dict(x=dict(
        key='a', higher_is_beter=False))))), "'x' of the metrics of the "
     'evaluation e has the key higher_is_beter, which nobody reads'),
    (dict(evaluations=dict(e=dict(kind='voc07', scale=2, metrics=dict(
        x=dict(key='a'))))), 'has scale beside metrics'),
    (dict(evaluations=dict(e=dict(kind='voc07', metric='x', only='val'))),
     "has only='val': set it to 'dev' or 'test'"),
    (dict(evaluations=dict(e=dict(kind='voc07', metric='x', dev=dict(
        kind='x')))), 'e.dev has the key kind, which nobody reads'),
    (dict(seed=[0]),
     'has seed, which no comparison reads: did you mean seeds'),
])
def test_what_cannot_be_used_is_a_sentence(tmp_path, settings, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        read(tmp_path, **settings)
    assert '\n' not in str(error.value)


def test_a_row_is_a_dict():
    with pytest.raises(ValueError, match="The row b is 'row.py', but must"):
        make_rows(dict(b='row.py'), {}, 'base.py')


def test_orders_are_lists_of_names(tmp_path):
    base = tmp_path / 'stages.py'
    base.write_text('stages = dict(x=dict(), y=dict())\n')
    for orders, words in (('x', "is 'x': set it to True"),
                          (['x', 'y'], "An order of .* is 'x', but must be a "
                           'list')):
        with pytest.raises(ValueError, match=words):
            expand(Row('il', str(base), sweep=dict(orders=orders)))


def test_variables_of_a_comparison_are_its_own(tmp_path):
    assert read(tmp_path, alone=dict(x=1), distances=[2], only='c').title


def plan(tmp_path, **settings):
    return Planner(read(tmp_path, **settings), tmp_path, 'python').plan()


@pytest.mark.parametrize('rows, words', [
    (dict(b=dict(cfg_options={'model.t': '{row:nobody}'})),
     'which is no row that is trained: such rows are a, b, c'),
    (dict(b=dict(cfg_options={'model.t': '{row:c}'}),
          c=dict(cfg_options={'model.t': '{row:b}'})), 'needs itself'),
    (dict(b=dict(cfg_options={'model.t': '{row:c}'}, beyond_budget='twice'),
          c=dict(seeds=[0])), 'needs c with seed 1, which it has not'),
    (dict(b=dict(cfg_options={'model.t': '{lists:voc}'})),
     'The row b is trained on the lists voc'),
])
def test_needs_that_cannot_be_met_are_a_sentence(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words):
        plan(tmp_path, rows=rows)


def of_tasks(*tasks):
    """An evaluation by the heads of pretext tasks."""
    return dict(pretext=dict(
        kind='pretext', args=['--cfg-options', 'test_cfg.fp16=True'],
        metrics={task: dict(key=f'{task}.loss') for task in tasks}))


def test_heads_of_pretext_tasks_are_those_that_a_row_has(tmp_path):
    staged = 'configs/compare/rows/incremental_w32.py'
    rows = dict(
        a=dict(cfg_options={'model.tasks': dict(moco=dict(a=1))}),
        b=dict(train=False, checkpoint='random'),
        d=dict(train=False, checkpoint='elsewhere.pth',
               cfg_options={'model.tasks': dict(densecl=dict(a=1))}),
        c=dict(config=staged, updates=6, cfg_options=dict(
            total_updates=6, stage_order=['moco', 'densecl'])))
    found = read(tmp_path, rows=rows, seeds=[0], baselines=['a'],
                 evaluations=of_tasks('moco', 'densecl'))
    made = Planner(found, tmp_path, 'python').plan()
    columns = {result.row: [column.name for column in result.columns]
               for result in made.results}
    assert columns == dict(a=['moco'], c=['moco', 'densecl'], d=['densecl'])
    jobs = {job.name: job for job in made.jobs}
    assert jobs['d.seed0.pretext.dev'].command[3] == 'elsewhere.pth'
    alone = jobs['a.seed0.pretext.dev'].command
    assert Path(alone[1]).name == 'test.py'
    assert alone[2:4] == (f'{found.folder}/runs/a/seed0/config.py',
                          f'@{found.folder}/runs/a/seed0/pretrain/'
                          'last_checkpoint')
    assert '--out-item' in alone and alone[-1] == 'test_cfg.fp16=True'
    one_by_one = jobs['c.seed0.pretext.dev']
    assert Path(one_by_one.command[1]).name == 'test_stages.py'
    assert one_by_one.command[2:4] == (
        f'{found.folder}/runs/c/seed0/pretrain', '--last')
    assert '--out-item' not in one_by_one.command
    assert one_by_one.needs == ('c.seed0.pretrain', )
    assert one_by_one.rows == ('c', )
    with pytest.raises(ValueError, match="'mocco' .* of the task mocco"):
        plan(tmp_path, rows=rows, seeds=[0], baselines=['a'],
             evaluations=of_tasks('moco', 'mocco'))


def test_lists_that_are_not_there_are_a_sentence(tmp_path):
    judge = dict(kind='voc07', metric='mAP', args=['{lists:voc}'])
    with pytest.raises(ValueError, match='lists of the comparison has none'):
        plan(tmp_path, evaluations=dict(judge=judge))


def test_rows_with_columns_name_their_files(tmp_path):
    real = 'configs/demo/moco_r18_demo.py'
    found = read(
        tmp_path,
        rows=dict(
            half=dict(config=real, part=True, updates=3),
            other=dict(config=real, part=True, updates=3),
            b=dict(config=real, concat=['half', 'other']),
            c=dict(config=real, progressive=['half'])))
    assert found.budgets['b'].total == found.budgets['c'].total == 6
    assert found.budgets['b'].own == 0 and found.budgets['c'].own == 3
    backbone = found.configs['b'].model.backbone
    assert backbone.type == 'mmmultissl.ConcatBackbone'
    assert backbone.columns.other == dict(
        checkpoint='{row:other}', sha256='{sha256:other}')
    backbone = found.configs['c'].model.backbone
    assert [*backbone.columns] == ['half', 'c']
    jobs = {job.name: job
            for job in Planner(found, tmp_path, 'python').plan().jobs}
    assert jobs['c.seed1.pretrain'].needs == ('half.seed1.pretrain', )
    judged = jobs['b.seed2.judge.dev']
    assert judged.needs == ('half.seed2.pretrain', 'other.seed2.pretrain')
    assert judged.command[2] == 'columns'
    assert 'b.seed2.pretrain' not in jobs
    assert 'half.seed0.judge.dev' not in jobs


def test_downstream_trainings_are_scored_on_the_lists_of_the_mode(tmp_path):
    down = tmp_path / 'down.py'
    down.write_text("model = dict(backbone=dict(type='mmpretrain.ResNet', "
                    'init_cfg=dict(a=1)))\ncheckpoint = None\n')
    settings = dict(
        rows=dict(a=dict(train=False, checkpoint='random'), c=None),
        seeds=[0],
        baselines=[],
        evaluations=dict(e=dict(config=str(down), metric='x')))
    config = str(write_comparison(tmp_path, **settings))
    for mode in ('dev', 'test'):
        made = Planner(
            read_comparison(config, tmp_path / 'work', mode), tmp_path,
            'python').plan()
        jobs = {job.name: job for job in made.jobs}
        # One training serves both lists.
        assert ('b.seed0.e.score' in jobs) == (mode == 'test')
        assert jobs['b.seed0.e'].judged == (mode == 'dev')
        content, = jobs['b.seed0.e'].configs.values()
        assert content['checkpoint'] == '{row:b}'
        assert jobs['b.seed0.e'].needs == ('b.seed0.pretrain', )
        content, = jobs['a.seed0.e'].configs.values()
        assert content['model']['backbone']['init_cfg'] is None
        assert content['randomness']['seed'] == 0
        assert made.results[0].path.name == ('e' if mode == 'dev' else
                                             'e.test.json')


def test_lists_in_a_downstream_file_are_those_of_the_mode(tmp_path):
    down = tmp_path / 'down.py'
    down.write_text("model = dict(backbone=dict(type='mmpretrain.ResNet'))\n"
                    'checkpoint = None\n'
                    "train_dataloader = dict(data_root='{lists:voc}')\n")
    source = tmp_path / 'VOC2007'
    write_demo_images(source, num_train=20, num_test=4, size=32)
    config = str(write_comparison(
        tmp_path, rows=dict(b=dict(train=False, checkpoint='random'), a=None),
        seeds=[0], baselines=[], reference='c',
        lists=dict(voc=dict(root=str(source))),
        evaluations=dict(e=dict(config=str(down), metric='x'))))
    scored = {}
    for mode in ('dev', 'test'):
        found = read_comparison(config, tmp_path / 'work', mode)
        jobs = {job.name: job
                for job in Planner(found, tmp_path, 'python').plan().jobs}
        assert f'b.seed0.e.{mode}' in jobs
        job = jobs['b.seed0.e.score' if mode == 'test' else 'b.seed0.e.dev']
        begin(found, job)
        file, = job.configs
        assert mode == 'dev' or file in job.command
        scored[mode] = runpy.run_path(file)['train_dataloader']['data_root']
    assert scored == dict(
        dev=str(tmp_path / 'work/lists/voc/VOC2007'), test=str(source))


def test_settings_of_a_downstream_config_that_nobody_reads(tmp_path):
    down = tmp_path / 'down.py'
    down.write_text('model = dict(backbone=dict())\n')
    with pytest.raises(ValueError, match='evaluation e .*Nobody reads tria'):
        plan(tmp_path, evaluations=dict(e=dict(
            config=str(down), metric='x', cfg_options={'trian_cfg.x': 1})))


def test_the_plan_hash_sees_settings_and_not_the_folder(tmp_path):
    config = str(write_comparison(tmp_path))
    one = plan_hash(read_comparison(config, tmp_path / 'x'))
    assert plan_hash(read_comparison(config, tmp_path / 'y')) == one
    assert plan_hash(read(tmp_path, title='other')) == one
    assert plan_hash(read(tmp_path, seeds=[0, 1])) != one
    assert plan_hash(
        read(tmp_path, rows=dict(b=dict(cfg_options={'model.level': 3.})))
    ) != one


def test_the_plan_hash_sees_what_jobs_are_made_of(tmp_path, monkeypatch):
    down = tmp_path / 'down.py'
    config = str(write_comparison(
        tmp_path, evaluations=dict(e=dict(config=str(down), metric='x'))))
    seen = set()
    for width in (1, 2):
        down.write_text(
            f"model = dict(backbone=dict(type='x.Y'), w={width})\n")
        seen.add(plan_hash(read_comparison(config, tmp_path / 'x', 'test')))
    seen.add(plan_hash(read(
        tmp_path, train_command=['{python}', 'other.py', '{config}'])))
    assert len(seen) == 3
    # The folder is no part of other texts.
    monkeypatch.chdir(tmp_path)
    seen = {
        plan_hash(read_comparison(str(write_comparison(
            tmp_path, rows=dict(b=dict(cfg_options={
                'model.level': level, 'model.lr': f'{level}'})))), Path('0')))
        for level in (.1, .01)
    }
    assert len(seen) == 2
    assert plan_hash(read_comparison(config, Path('0'))) == plan_hash(
        read_comparison(config, tmp_path / 'x'))


# Placeholders and files


def test_placeholders_are_filled_everywhere():
    value = dict(
        a=['{row:x}', ('{seed}', 'n{seed}')],
        b='{work_dir}/y, {other}',
        c=3)
    assert rows_in(value) == ('x', )
    assert fill(value, dict(seed=4, work_dir='w'), keep) == dict(
        a=['{row:x}', (4, 'n4')], b='w/y, {other}', c=3)
    assert fill('{row:x}{sha256:y}', {}, lambda kind, name: f'<{kind} {name}>'
                ) == '<row x><sha256 y>'


def test_configs_are_written_as_they_are_read(tmp_path):
    content = dict(a=(1, 2.5, None), b=dict(c=["it's", dict(d=True)]))
    file = tmp_path / 'config.py'
    file.write_text(write_text(content, 'head'))
    read_back = runpy.run_path(str(file))
    assert {key: read_back[key] for key in content} == content
    with pytest.raises(ValueError, match='a of a config holds a value'):
        write_text(dict(a=float('inf')), 'head')


def test_figures_are_found_by_keys_and_places():
    content = {'x/y.z': 1, 'folds': [dict(accuracy=7)], 'deep': dict(a=2)}
    assert look_up(content, 'x/y.z', 'f') == 1
    assert look_up(content, 'folds.0.accuracy', 'f') == 7
    assert look_up(content, 'deep.a', 'f') == 2
    with pytest.raises(ValueError, match='f has no figure deep.b.*holds a'):
        look_up(content, 'deep.b', 'f')
    with pytest.raises(ValueError, match='is no number'):
        look_up(content, 'deep', 'f')


def test_dev_lists_are_a_part_of_trainval(tmp_path):
    source = tmp_path / 'VOC2007'
    write_demo_images(source, num_train=40, num_test=4, size=32)
    owners = {}
    # Four pictures by each photographer.
    for index, file in enumerate(sorted((source / 'Annotations').glob('*'))):
        owners[file.stem] = index // 4
        file.write_text(f'<annotation><owner><flickrid>p{index // 4}'
                        '</flickrid></owner></annotation>')
    chosen = dev_images(source, .3, 0)
    assert chosen == dev_images(source, .3, 0) != dev_images(source, .3, 1)
    made = write_dev_lists(str(source), tmp_path / 'out', .3, 0)
    old, new = read_voc_lists(str(source)), read_voc_lists(str(made))
    assert set(new['test'].ids) == chosen
    assert sorted([*new['test'].ids, *new['trainval'].ids]
                  ) == old['trainval'].ids
    assert 12 <= len(chosen) <= 15
    assert not ({owners[name] for name in chosen} &
                {owners[name] for name in new['trainval'].ids})
    rows = [old['trainval'].ids.index(name) for name in new['test'].ids]
    assert np.array_equal(new['test'].labels, old['trainval'].labels[rows])
    for name in chosen:
        assert (made / 'JPEGImages' / f'{name}.jpg').is_file()
    with pytest.raises(ValueError, match='between 0 and 1'):
        dev_images(source, 1., 0)


def test_dev_lists_of_another_root_replace_the_old_ones(tmp_path):
    for name in ('old', 'new'):
        write_demo_images(tmp_path / name, num_train=20, num_test=4, size=32)
    extra = tmp_path / 'old/ImageSets/Main/zebra_trainval.txt'
    names = (tmp_path / 'old/ImageSets/Main/trainval.txt').read_text().split()
    extra.write_text(''.join(f'{name} 1\n' for name in names))
    made = write_dev_lists(str(tmp_path / 'old'), tmp_path / 'out', .3, 0)
    assert (made / 'ImageSets/Main/zebra_test.txt').is_file()
    assert made == write_dev_lists(
        str(tmp_path / 'new'), tmp_path / 'out', .3, 0)
    assert (made / 'JPEGImages').resolve() == tmp_path / 'new/JPEGImages'
    assert not [*made.glob('ImageSets/Main/zebra*')]
    assert len(read_voc_lists(str(made))['test'].ids) >= 6


# Validations


def test_a_validation_before_the_end_is_not_the_result(tmp_path):
    log = tmp_path / 'now' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    columns = make_evaluations(
        dict(e=dict(kind='voc07', metric='x')))['e'].columns

    def figures(steps, **meta):
        """Those of a log of (step, kind) and a last checkpoint."""
        log.write_text(''.join(
            json.dumps({'step': step, kind: number / 10}) + '\n'
            for number, (step, kind) in enumerate(steps)))
        torch.save(dict(meta=meta), tmp_path / 'last.pth')
        (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'last.pth'))
        return read_figures(tmp_path, columns)

    steps = [(4, 'x'), (7, 'loss'), (8, 'x')]
    assert figures(steps, epoch=0, iter=8) == dict(e=.2)
    assert figures(steps, epoch=8, iter=90) == dict(e=.2)
    # Killed in the validation at the end, and then gone on with.
    with pytest.raises(ValueError, match='step 8.* is not that of last.pth'):
        figures(steps, epoch=0, iter=9)
    # mmengine's loop by iterations logs no step.
    steps = [(4, 'loss'), (0, 'x'), (8, 'loss')]
    with pytest.raises(ValueError, match='step 0.* is not that of last.pth'):
        figures(steps, epoch=0, iter=8)
    assert figures([*steps, (0, 'x')], epoch=0, iter=8) == dict(e=.3)
    with pytest.raises(ValueError, match='never judged'):
        figures([(4, 'loss')], epoch=0, iter=8)


# Figures


def test_one_seed_has_no_spread_and_no_interval():
    assert spread_of([3.]) == (1, 3., None)
    assert spread_of([]) is None
    found = difference_of({0: 2., 1: 5.}, {1: 4., 2: 0.})
    assert found == (1, 1., None, None) and found.sure(1) is None
    assert difference_of({0: 1.}, {1: 1.}) is None


def test_gains_need_every_figure():
    figures = dict(
        a=dict(x={0: 10., 1: 10.}, y={0: 4., 1: 4.}),
        b=dict(x={0: 20., 1: 20.}, y={0: 2., 1: 2.}),
        c=dict(x={0: 30., 1: 30.}, y={0: 1.5}))
    columns = dict(x=1, y=-1)
    # x: 30 beside 15 is +100 %; y: 1.5 beside 3 is half, +50 %.
    assert gains_of(figures, 'c', columns, ['a', 'b']) == {
        0: pytest.approx(75.)}
    # x: 30 beside 20; y: 1.5 beside 2.
    assert gains_of(figures, 'c', columns, ['a', 'b'], best=True) == {
        0: pytest.approx((50 + 25) / 2)}
    assert gains_of(figures, 'a', columns, ['a']) == {0: 0., 1: 0.}
    # The better row in the mean, and not the better one of each seed.
    figures = dict(a=dict(x={0: 10., 1: 8.}), b=dict(x={0: 6., 1: 10.}))
    assert gains_of(figures, 'a', dict(x=1), ['a', 'b'], best=True) == {
        0: 0., 1: 0.}


def test_steps_after_the_last_line_count(tmp_path):
    folder = tmp_path / '1/vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(
        f'{{"loss": 1.0, "time": 2.0, "step": {step}}}\n'
        for step in (50, 100)))
    assert seconds_of(tmp_path) == 200.
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/iter_112.pth')
    assert seconds_of(tmp_path) == 224.
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/epoch_3.pth')
    assert seconds_of(tmp_path) == 200.


def test_two_columns_of_one_name_are_an_error():
    with pytest.raises(ValueError, match='Two columns are called x'):
        make_evaluations(
            dict(
                x=dict(kind='voc07', metric='mAP'),
                y=dict(kind='voc07', metrics=dict(x=dict(key='mAP')))))


# Pictures


def test_the_plane_is_that_of_scikit_learn():
    from sklearn.decomposition import PCA
    drawn = np.random.default_rng(0).normal(size=(30, 6))
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    known = PCA(2, svd_solver='full')
    points, share = principal_plane(drawn)
    assert np.allclose(np.abs(points), np.abs(known.fit_transform(unit)))
    assert share == pytest.approx(known.explained_variance_ratio_.sum())


def test_a_forgetting_matrix_holds_the_last_measurement():
    def stage(name, *forgetting):
        lines = [{'step': step, **{f'earlier/{other}/forgetting': value
                                   for other, value in each.items()}}
                 for step, each in enumerate(forgetting)]
        return Stage(name, 0, [], lines)

    log = Log('row', 0, [
        stage('x'),
        stage('y', dict(x=3.), dict(x=.5)),
        stage('z', dict(x=12., y=-.25)),
        stage('w', dict(y=1.))
    ])
    assert matrix_lines(log) == [
        ('after', 'x', 'y', 'z'), ('x', '0', '', ''),
        ('y', '+0.500', '0', ''), ('z', '+12.0', '-0.250', '0'),
        ('w', '–', '+1.00', '–')
    ]


def test_intervals_are_coloured_by_what_they_say():
    base = {seed: 0. for seed in range(3)}
    rows = [(name, difference_of(dict(enumerate(values)), base))
            for name, values in dict(
                up=(1., 1.1, 1.2), down=(-1., -1.1, -1.2),
                open=(-1., 0., 1.)).items()]
    plot = interval_plot(rows, 1)
    assert [plot.count(f'r=5 style="fill:var(--{paint})"')
            for paint in ('right', 'wrong', 'soft')] == [1, 1, 1]
    less = interval_plot(rows[:1], -1)
    assert 'fill:var(--wrong)' in less
    assert json.dumps(plot).count('<circle') == 3


def test_long_names_have_room_beside_their_intervals():
    found = difference_of({0: 1., 1: 2.}, {0: 0., 1: 0.})
    for name, shown in (('moco', 'moco'),
                        ('x' * 50, f'{"x" * 17}…{"x" * 18}')):
        plot = interval_plot([(name, found)], 1)
        # Right-aligned; a letter of 12 px is at most 7.2 px wide on average.
        end, text = re.search(r'<text x="([\d.]+)"[^>]*=end>([^<]+)',
                              plot).groups()
        assert text == shown and float(end) >= 7.2 * len(text)
