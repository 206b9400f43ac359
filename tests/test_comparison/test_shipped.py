# Copyright (c) mmmultissl contributors. All rights reserved.
"""The shipped comparisons: what each row costs, and what it is made of."""
from pathlib import Path

import pytest
from mmengine.config import Config

from mmmultissl.comparison import Planner, read_comparison
from mmmultissl.engine.stages import expand_stages

FOLDER = Path('configs') / 'compare'
IMAGES = {
    'random', 'moco', 'densecl', 'concat', 'multitask',
    *(f'incremental_{order}_{distance}'
      for order in ('moco-densecl', 'densecl-moco')
      for distance in ('euclidean', 'contrastive')),
    'amalgamation_euclidean', 'amalgamation_contrastive', 'progressive'
}


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2])


def plan(name, mode='dev'):
    found = read_comparison(
        str(FOLDER / f'{name}.py'), Path('work_dirs/none'), mode)
    return found, Planner(found, Path('tools'), 'python').plan()


@pytest.mark.parametrize('name', [
    'images_demo', pytest.param('images_voc07_r18', marks=pytest.mark.slow),
    pytest.param('images_voc07_r18-w32', marks=pytest.mark.slow),
    pytest.param('images_r50', marks=pytest.mark.slow)
])
def test_images(name):
    found, made = plan(name)
    assert set(found.shown) == IMAGES
    # Every combination costs the same, with its parts.
    assert {budget.total for row, budget in found.budgets.items()
            if row in found.shown} == {0, found.total_updates}
    distances = {
        row: found.configs[row].model.tasks.from_moco.distance.type
        for row in found.shown if row.startswith('amalgamation')
    }
    assert distances == {
        'amalgamation_euclidean': 'mmmultissl.EuclideanDistance',
        'amalgamation_contrastive': 'mmmultissl.ContrastiveDistance'
    }
    for row in found.shown:
        cfg = found.configs[row]
        # Without a predictor it needs centring, with one it does not.
        centred = row.startswith('incremental') and 'contrastive' in row
        for distil in (*(stage.distill for stage in (
                cfg.get('stages') or {}).values()), *(
                    task for name, task in cfg.model.tasks.items()
                    if name.startswith('from_'))):
            assert distil.distance.get('centre', False) == centred
            assert distil.get('weight', 1.) == (.1 if centred else 1.)
        # The same share of every row and stage, however long it is.
        if name != 'images_r50' and 'densecl' in cfg.model.tasks:
            assert 0 < cfg.model.tasks.densecl.warmup_iters < .1
    # Nobody scores test images while settings are chosen.
    jobs = {job.name: job for job in made.jobs}
    for job in jobs.values():
        assert 'data/VOCdevkit/VOC2007' not in job.command
    assert jobs['progressive.seed0.pretrain'].rows == ('moco_half', )
    # A half is the first stage of an order, and is trained once.
    for first, second in (('moco', 'densecl'), ('densecl', 'moco')):
        for distance in ('euclidean', 'contrastive'):
            job = jobs[f'incremental_{first}-{second}_{distance}.seed0.'
                       'pretrain']
            assert job.after == (f'{first}_half.seed0.pretrain', )
            assert job.spared == (
                '--finished-stages',
                str(Path('work_dirs/none/runs') / f'{first}_half' / 'seed0' /
                    'pretrain'))
    for row in ('moco_half', 'densecl_half', 'multitask'):
        assert jobs[f'{row}.seed0.pretrain'].after == ()
        assert jobs[f'{row}.seed0.pretrain'].spared == ()
    assert set(jobs['amalgamation_contrastive.seed0.pretrain'].rows) == {
        'moco_third', 'densecl_third'}
    # All rows see the same data and batches.
    loaders = []
    for row in found.shown:
        if found.rows[row].train:
            loader = found.configs[row].train_dataloader.to_dict()
            loaders.append(loader)
    assert all(loader == loaders[0] for loader in loaders)


@pytest.mark.parametrize('name', [
    'binaural_demo', pytest.param('binaural_w16', marks=pytest.mark.slow),
    pytest.param('binaural_w16_1500', marks=pytest.mark.slow)
])
def test_binaural_sound(name):
    found, made = plan(name)
    orders = [row for row in found.shown
              if row.startswith('incremental_euclidean_')]
    assert len(orders) == (3 if name.endswith('_1500') else 6)
    assert {*found.shown} - {*orders} == {
        'random', 'spatial', 'foreground', 'gap', 'concat', 'multitask',
        'incremental_contrastive_spatial-foreground-gap',
        'amalgamation_euclidean', 'amalgamation_contrastive', 'progressive'
    }
    assert {budget.total for row, budget in found.budgets.items()
            if row in found.shown} == {0, found.total_updates}
    row = 'incremental_contrastive_spatial-foreground-gap'
    assert all(stage.distill.distance.centre and stage.distill.weight == .1
               for stage in found.configs[row].stages.values())
    jobs = {job.name: job for job in made.jobs}
    # A third is the first stage of each order that begins with it.
    for row in orders:
        first = row.split('_')[2].split('-')[0]
        assert jobs[f'{row}.seed0.pretrain'].after == (
            f'{first}_third.seed0.pretrain', )
    content, = jobs['concat.seed0.azimuth'].configs.values()
    columns = content['model']['backbone']['columns']
    assert [*columns] == ['spatial_third', 'foreground_third', 'gap_third']
    last, = jobs['progressive.seed0.azimuth'].configs.values()
    assert [*last['model']['backbone']['columns']] == [
        'spatial_third', 'foreground_second', 'progressive'
    ]
    assert set(jobs['progressive.seed0.pretrain'].rows) == {
        'spatial_third', 'foreground_second'}
    labels, = jobs['gap.seed0.semantic'].configs.values()
    classes = 10 if 'w16' in name else 6  # ESC-10, synthesised sounds
    assert [labels['model']['head']['num_classes']] + [
        labels[f'{split}_evaluator']['num_classes']
        for split in ('val', 'test')] == 3 * [classes]
    alone, = jobs['gap.seed0.azimuth'].configs.values()
    assert content['model']['head']['in_channels'] == 3 * alone['model'][
        'head']['in_channels']
    # What is chosen by is not what is scored.
    for each in (content, alone):
        assert each['val_dataloader']['dataset']['split'] == 'val'
        assert each['test_dataloader']['dataset']['split'] == 'test'
    assert not any('esc10' in result.evaluation for result in made.results)


@pytest.mark.slow
def test_distances_and_their_weights():
    found, made = plan('images_voc07_r18-w32_distances')
    rows = {row.split('densecl_')[1]: found.configs[row]
            for row in found.shown if row.startswith('incremental')}
    assert [*rows] == ['euclidean_0', 'euclidean_1', 'euclidean_10',
                       'euclidean_100', 'centred_0.1', 'centred_1',
                       'centred_10']
    for name, cfg in rows.items():
        kind, weight = name.split('_')
        distil = cfg.stages.densecl.distill
        assert distil.weight == float(weight)
        assert distil.distance.type == 'mmmultissl.' + (
            'Euclidean' if kind == 'euclidean' else 'Contrastive') + 'Distance'
        assert distil.distance.get('centre', False) == (kind == 'centred')
        assert cfg.optim_wrapper.type == 'mmmultissl.Bf16OptimWrapper'
        assert cfg.model.backbone.base_channels == 32
    # The first stage is trained once for all.
    first, *others = (job for job in made.jobs if 'pretrain' in job.name)
    assert first.after == () and len(others) == 6
    assert all(job.after == (first.name, ) for job in others)
    assert (first.taken_updates, {job.taken_updates for job in others}) == (
        0, {960})


@pytest.mark.slow
def test_one_factor_at_a_time():
    found, made = plan('images_voc07_r18-w32_factors')
    twice = [row for row in found.shown if row.endswith('_twice')]
    assert twice == ['moco_twice', 'incremental_twice']
    assert all(found.budgets[row].own == 3840 for row in twice)
    assert [*found.configs['moco_twice'].model.tasks] == ['moco']
    stages = {row.split('densecl_')[1]: found.configs[row].stages.densecl
              for row in found.shown if row not in twice}
    assert all(stage.distill is None for name, stage in stages.items()
               if name in ('sequential', 'lower_rate', 'short_first', 'both',
                           'both_kept'))
    assert stages['both'].tasks == ['moco', 'densecl']
    assert stages['both_kept'] == dict(
        stages['both'], start=dict(momentum=True, tasks=['moco']))
    assert stages['lower_rate'].overrides.optim_wrapper.optimizer.lr == .0025
    assert stages['ema'].teacher == 'last_ema'
    assert stages['dense'].distill.features == 'dense'
    assert stages['dense'].distill.get('predictor') is None
    for name in ('predictor_contrastive', 'ema', 'predictor_euclidean'):
        assert stages[name].distill.predictor.in_channels == 256
        assert ('Contrastive' in stages[name].distill.distance.type) == (
            name != 'predictor_euclidean')
    # A first stage of another length is another one.
    jobs = {job.name.split('densecl_')[1]: job for job in made.jobs
            if 'pretrain' in job.name and 'densecl_' in job.name}
    assert {name.split('.')[0] for name, job in jobs.items()
            if not job.after} == {'sequential', 'short_first'}


@pytest.mark.slow
def test_distances_and_their_weights_on_sound():
    found, made = plan('binaural_w16_distances')
    rows = [row for row in found.shown if row.startswith('incremental')]
    assert [row.split('gap_')[1] for row in rows] == [
        'euclidean_0', 'euclidean_1', 'euclidean_10', 'euclidean_100',
        'centred_0.1', 'centred_1', 'centred_10'
    ]
    for row in rows:
        kind, weight = row.split('gap_')[1].split('_')
        for stage in found.configs[row].stages.values():
            assert stage.distill.weight == float(weight)
            assert stage.distill.distance.get('centre', False) == (
                kind == 'centred')
    assert {result.evaluation for result in made.results} == {
        'azimuth', 'pretext'}


@pytest.mark.slow
def test_one_factor_at_a_time_on_sound():
    found, made = plan('binaural_w16_factors')
    assert [found.budgets[row].own for row in found.shown] == [
        3000, 4500, 1500, 1500, 1500, 1500]
    options = {row.split('gap_')[-1]: found.configs[row]
               for row in found.shown}
    for name, cfg in options.items():
        cfg.randomness.seed = 0
        assert [*cfg.stage_order] == ['spatial', 'foreground', 'gap']
        for stage in cfg.stages.values():
            if name == 'cumulative':
                assert stage.distill is None
            else:
                assert stage.distill.distance.centre
        last = expand_stages(cfg, 'unused')[-1]
        alone = 'cumulative' not in name
        assert last.tasks == (('gap', ) if alone else (
            'spatial', 'foreground', 'gap'))
        assert ('visual' in last.cfg.start_from['parts'][-1]) != alone
        assert (last.cfg.model.companions.visual is None) == alone
        assert last.cfg.optim_wrapper.optimizer.lr == (
            3e-4 if name == 'lower_rate' else 1e-3)
    kept = expand_stages(options['cumulative'], 'unused')[-1].cfg.start_from
    assert kept['parts'] == ['backbone.', 'tasks.spatial.',
                             'tasks.foreground.', 'companions.visual.']
    assert {result.evaluation for result in made.results} == {
        'azimuth', 'pretext'}


@pytest.mark.slow
def test_balancers_under_a_scale():
    found, _ = plan('balancers_demo')
    for row in found.shown:
        if row.endswith('_plain'):
            plain = found.configs[row].model.to_dict()
            scaled = found.configs[row[:-5] + 'moco_x100'].model.to_dict()
            assert scaled.pop('loss_scales') == dict(moco=100.)
            assert scaled == plain
    assert sum(row.endswith('_plain') for row in found.shown) == 12
    learned = found.configs['uncertainty_plain'].optim_wrapper
    assert learned.paramwise_cfg.custom_keys == {
        'balancer.log_variance': dict(decay_mult=0.)}


def test_the_rows_of_a_child_are_those_of_its_parent():
    base = Config.fromfile(FOLDER / 'images_base.py')
    assert {*base.rows} == {*Config.fromfile(FOLDER / 'images_demo.py').rows}
