# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every config with stages becomes configs that build, in every order."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmmultissl.datasets import BinauralWriter
from mmmultissl.engine.stages import (all_orders, expand_stages, pinned,
                                      run_stages)
from mmmultissl.engine.stages.config_text import text_of

from ..test_datasets.binaural_toy import HEADINGS, panorama, png
from ..test_engine.stages_toy import InProcess
from .test_shipped_configs import is_known, types_in

CONFIGS = Path(__file__).parents[2] / 'configs'
FILES = sorted((CONFIGS / 'incremental').glob('*.py')) + [
    CONFIGS / 'demo' / 'incremental_r18_demo.py']
DISTANCES = dict(
    euclidean='mmmultissl.EuclideanDistance',
    contrastive='mmmultissl.ContrastiveDistance')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_both_kinds_are_there():
    assert len(FILES) == 20
    assert sum('binaural' in path.name for path in FILES) == 5


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_every_order_expands(path, tmp_path):
    cfg = Config.fromfile(path)
    words = path.stem.split('_')
    orders = all_orders(cfg)
    assert len(orders) == (6 if 'binaural' in words else 2)
    if words[0] == 'incremental' and '-' in words[1]:
        assert list(cfg.stage_order) == words[1].split('-')
    for order in orders:
        cfg.stage_order = list(order)
        stages = expand_stages(cfg, '/run')
        assert sum(stage.updates for stage in stages) == cfg.total_updates
        for stage in stages:
            assert stage.tasks == (stage.name, )
            first = stage.number == 1
            columns = 'progressive' in words and not first
            teachers = not first and not {'sequential',
                                          'progressive'} & set(words)
            assert stage.teachers == (dict(remember=stage.number - 1)
                                      if teachers else {})
            assert (stage.start is None) == (first or columns)
            assert stage.columns == ({
                name: place for place, name in enumerate(order, 1)
                if place < stage.number} if columns else {})


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_the_stages_build(path, tmp_path):
    cfg = Config.fromfile(path)
    words = path.stem.split('_')
    checkpoints = {number: (f'/run/{number}.pth', f'{number}' * 64)
                   for number in (1, 2)}
    for stage in expand_stages(cfg, '/run'):
        for task in stage.cfg.model.tasks.values():
            # What a task is does not depend on the length of its queue.
            if 'queue_len' in task:
                task.queue_len = 8
            for head in task.get('heads', {}).values():
                head.queue_len = 8
        (tmp_path / 'config.py').write_text(
            text_of(pinned(stage, checkpoints), 'a stage'))
        made = Config.fromfile(tmp_path / 'config.py')
        for where, inner, kind in types_in(made.to_dict()):
            if kind != 'default_collate' and not where.endswith('.optimizer'):
                assert is_known(kind, inner or 'mmpretrain'), where
        model = MODELS.build(made.model)
        views = {view for name in stage.tasks
                 for view in (*model.tasks[name].query_views,
                              *model.tasks[name].key_views)}
        read = views | {view for task in model.tasks.values()
                        for _, view in task.companion_views}
        if 'binaural' in words:
            # All views that are loaded are read, and the other way round.
            assert read == set(made.train_dataloader.dataset.views)
        if 'remember' in model.tasks:
            remember = model.tasks['remember']
            # No pass of the trunk is added.
            assert set(remember.query_views) <= {
                view for name in stage.tasks
                for view in model.tasks[name].query_views}
            if 'lwf' in words:
                assert set(remember.teacher.tasks) == {'moco'}
            for name, kind in DISTANCES.items():
                if name in words:
                    assert made.model.tasks.remember.distance.type == kind


@pytest.mark.parametrize('name, alone', [
    ('incremental/incremental_moco-densecl_contrastive_resnet50_8xb32_in1k',
     'multissl/{}_resnet50_8xb32-coslr-200e_in1k'),
    ('incremental/incremental_binaural_euclidean_omniaudio-w16_1xb32_16khz',
     'binaural/{}_omniaudio-w16_1xb32-coslr-50e_16khz'),
    ('demo/incremental_r18_demo', 'demo/{}_r18_demo'),
])
def test_first_stages_are_the_single_tasks(name, alone):
    """They differ in their length, and in what they are written like."""
    long = dict(spatial='spatial-alignment', gap='temporal-gap',
                foreground='foreground-alignment')
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    for task in list(cfg.stage_order):
        cfg.stage_order = [task]
        stage, = expand_stages(cfg, '/run')
        single = Config.fromfile(
            CONFIGS / f'{alone.format(long.get(task, task))}.py')
        single.model.tasks = {key: value
                              for key, value in single.model.tasks.items()
                              if value is not None}
        for key in ('model', 'train_dataloader', 'data_preprocessor',
                    'optim_wrapper', 'param_scheduler', 'default_hooks',
                    'env_cfg', 'randomness'):
            assert stage.cfg.get(key) == single.get(key), (task, key)
        # The budget of the demo is that of one task, too.
        if name.startswith('demo'):
            assert stage.updates == single.train_cfg.max_iters


@pytest.mark.parametrize('distance', DISTANCES)
def test_sound_goes_through_all_stages(tmp_path, distance):
    rate, mask = 16000, np.zeros((20, 72), np.uint8)
    mask[:, 30:40] = 255
    files = {'frames/a.png': png(panorama()), 'foreground/a.png': png(mask)}
    sound = np.random.RandomState(0).randint(-9999, 9999, (20 * rate, 8))
    with BinauralWriter(tmp_path / 'clips', rate, HEADINGS,
                        panorama=True) as writer:
        writer.add_recording(
            'a', sound.astype(np.int16),
            [dict(split='train', start=s * rate, frame='frames/a.png',
                  foreground='foreground/a.png') for s in range(0, 19, 2)],
            files)
    cfg = Config.fromfile(
        CONFIGS / 'incremental' /
        f'incremental_binaural_{distance}_omniaudio-w16_1xb32_16khz.py')
    cfg.merge_from_dict({
        'work_dir': str(tmp_path / 'run'),
        'train_dataloader.dataset.data_root': str(tmp_path / 'clips'),
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'model.backbone.base_channels': 4,
        'model.tasks.spatial.audio_channels': 16,
        'model.tasks.foreground.audio_channels': 16,
        'model.tasks.gap.audio_channels': 16,
        'randomness.seed': 0,
        'log_level': 'WARNING',
        'stage_order': ['gap', 'spatial', 'foreground'],
        'total_updates': 4
    })
    records = run_stages(cfg, InProcess())
    assert [record.updates for record in records] == [2, 1, 1]
    states = [
        torch.load(record.path(tmp_path / 'run' / f'{k}_{record.name}'),
                   weights_only=True)['state_dict']
        for k, record in enumerate(records, 1)
    ]
    assert not any(key.startswith('companions') for key in states[0])
    trunk = [key for key in states[0] if key.startswith('backbone.')]
    for before, after in zip(states, states[1:]):
        for key in trunk:
            assert torch.equal(after[f'tasks.remember.teacher.{key}'],
                               before[key])
        assert not all(torch.equal(after[key], before[key]) for key in trunk)
        assert all(value.isfinite().all() for value in after.values())
