# Copyright (c) mmmultissl contributors. All rights reserved.
"""Rows, budgets, placeholders, lists and figures, each by itself."""
import json
import runpy

import numpy as np
import pytest
from mmengine.config import Config

from mmmultissl.comparison import (Planner, gains_of, plan_hash,
                                   read_comparison, write_dev_lists)
from mmmultissl.comparison.configs import merge, write_text
from mmmultissl.comparison.evaluations import look_up, make_evaluations
from mmmultissl.comparison.placeholders import fill, keep, rows_in
from mmmultissl.comparison.rows import Row, expand
from mmmultissl.comparison.statistics import difference_of, spread_of
from mmmultissl.comparison.voc_lists import dev_images
from mmmultissl.datasets.demo_images import write_demo_images
from mmmultissl.evaluation.svm import read_voc_lists
from mmmultissl.visualization.report.comparison.embedding import (
    principal_plane)
from mmmultissl.visualization.report.comparison.forgetting import matrix_lines
from mmmultissl.visualization.report.comparison.interval_plot import (
    interval_plot)
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
    with pytest.raises(ValueError, match='sweeps over seed'):
        expand(Row('mt', 'c.py', sweep=dict(seed=[1])))


@pytest.mark.parametrize('settings, words', [
    (dict(rows={'a/b': {}}), 'cannot name a folder'),
    (dict(rows=dict(b=dict(confg='x'))), 'has confg, which no row has'),
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
])
def test_what_cannot_be_used_is_a_sentence(tmp_path, settings, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
        read(tmp_path, **settings)
    assert '\n' not in str(error.value)


def plan(tmp_path, **settings):
    return Planner(read(tmp_path, **settings), tmp_path, 'python').plan()


@pytest.mark.parametrize('rows, words', [
    (dict(b=dict(cfg_options={'model.t': '{row:nobody}'})),
     'which is no row that is trained: such rows are a, b, c'),
    (dict(b=dict(cfg_options={'model.t': '{row:c}'}),
          c=dict(cfg_options={'model.t': '{row:b}'})), 'needs itself'),
    (dict(b=dict(cfg_options={'model.t': '{row:c}'}), c=dict(seeds=[0])),
     'needs c with seed 1, which it has not'),
    (dict(b=dict(cfg_options={'model.t': '{lists:voc}'})),
     'lists of the comparison has none'),
])
def test_needs_that_cannot_be_met_are_a_sentence(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words):
        plan(tmp_path, rows=rows)


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
        content, = jobs['b.seed0.e'].configs.values()
        assert content['checkpoint'] == '{row:b}'
        assert jobs['b.seed0.e'].needs == ('b.seed0.pretrain', )
        content, = jobs['a.seed0.e'].configs.values()
        assert content['model']['backbone']['init_cfg'] is None
        assert content['randomness']['seed'] == 0
        assert made.results[0].path.name == ('e' if mode == 'dev' else
                                             'e.test.json')


def test_the_plan_hash_sees_settings_and_not_the_folder(tmp_path):
    config = str(write_comparison(tmp_path))
    one = plan_hash(read_comparison(config, tmp_path / 'x'))
    assert plan_hash(read_comparison(config, tmp_path / 'y')) == one
    assert plan_hash(read(tmp_path, title='other')) == one
    assert plan_hash(read(tmp_path, seeds=[0, 1])) != one
    assert plan_hash(
        read(tmp_path, rows=dict(b=dict(cfg_options={'model.level': 3.})))
    ) != one


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
