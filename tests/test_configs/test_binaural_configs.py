# Copyright (c) mmmultissl contributors. All rights reserved.
"""The binaural pretraining configs build, train a step and keep together."""
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, OPTIM_WRAPPERS, DefaultScope

import mmmultissl  # noqa: F401
from mmmultissl.datasets import BinauralWriter
from mmmultissl.engine.runner import StrictRunner

from ..test_datasets.binaural_toy import HEADINGS, panorama, png
from .test_shipped_configs import is_known, types_in

FOLDER = Path(__file__).parents[2] / 'configs' / 'binaural'
TASKS = {'spatial-alignment': 'spatial', 'foreground-alignment': 'foreground',
         'temporal-gap': 'gap'}
NAMES = sorted(path.name for task in ('multissl', *TASKS)
               for path in FOLDER.glob(f'{task}_*.py'))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(scope='module', params=[16000, 48000])
def folder(request, tmp_path_factory):
    """Two recordings of 20 s of noise, with frames, at a sampling rate."""
    rate, root = request.param, tmp_path_factory.mktemp('folder')
    mask = np.zeros((20, 72), np.uint8)
    mask[:, 30:40] = 255
    files = {'frames/a.png': png(panorama()), 'foreground/a.png': png(mask)}
    random = np.random.RandomState(0)
    with BinauralWriter(root, rate, HEADINGS, panorama=True) as writer:
        for name in ('a', 'b'):
            writer.add_recording(
                name,
                random.randint(-9999, 9999, (20 * rate, 8)).astype(np.int16),
                [dict(split='train', start=s * rate, frame='frames/a.png',
                      foreground='foreground/a.png')
                 for s in range(0, 19, 2)],
                files if name == 'a' else {})
    return rate, str(root)


def tasks_of(name):
    own = TASKS.get(name.split('_')[0])
    return {own} if own else set(TASKS.values())


def test_every_pretext_has_its_configs():
    assert len(NAMES) == 8
    for end in ('_8xb32-coslr-100e_48khz', '-w16_1xb32-coslr-50e_16khz'):
        assert sum(f'_omniaudio{end}.py' in name for name in NAMES) == 4


@pytest.mark.parametrize('name', NAMES)
def test_config_builds_and_hangs_together(name):
    cfg = Config.fromfile(FOLDER / name)
    assert cfg.default_scope == 'mmpretrain'
    for path, inner_scope, kind in types_in(cfg.to_dict()):
        if kind != 'default_collate' and not path.endswith('.optimizer'):
            assert is_known(kind, inner_scope or 'mmpretrain'), path

    model = MODELS.build(cfg.model)
    assert set(model.tasks) == tasks_of(name)
    # All views that are made are read, and the other way round.
    read = set()
    for task in model.tasks.values():
        read |= set(task.query_views) | {v for _, v in task.companion_views}
    assert read == set(cfg.train_dataloader.dataset.views)
    if 'gap' in model.tasks:
        assert model.tasks['gap'].max_gap == \
            cfg.train_dataloader.dataset.max_gap
    # The grid is what the companion makes of a frame: nothing is averaged.
    for task in model.tasks.values():
        if hasattr(task, 'layout'):
            height, width = cfg.train_dataloader.dataset.frame_size
            with torch.no_grad():
                shape = model.companions['visual'](
                    torch.zeros(1, 3, height, width))[-1].shape
            assert shape[2:] == task.layout.grid
    processes, batch = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == processes * batch


@pytest.mark.parametrize('name', NAMES)
def test_config_trains_a_step(name, folder):
    rate, root = folder
    if f'_{rate // 1000}khz' not in name:
        pytest.skip(f'not a config for {rate} Hz')
    cfg = Config.fromfile(FOLDER / name)
    dataset = dict(cfg.train_dataloader.dataset, data_root=root)
    data = DATASETS.build(dataset)
    assert len(data) == 20
    loader = StrictRunner.build_dataloader(
        dict(
            cfg.train_dataloader,
            dataset=data,
            batch_size=2,
            num_workers=0,
            persistent_workers=False,
            pin_memory=False,
            sampler=dict(type='DefaultSampler', shuffle=True)))
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    model.init_weights()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='OptimWrapper', optimizer=optimizer))
    before = model.backbone.conv1.conv.weight.detach().clone()
    log = model.train().train_step(next(iter(loader)), wrapper)
    assert set(log) == {'loss'} | {
        f'{task}.{key}' for task in tasks_of(name)
        for key in ('loss', 'accuracy')}
    assert all(torch.isfinite(value) for value in log.values())
    assert not torch.equal(model.backbone.conv1.conv.weight, before)


def test_plain_stereo_serves_too(tmp_path):
    # Ears exchanged in place of a turned head, a frame that cannot be turned.
    rate, files = 16000, {'frames/a.png': png(panorama())}
    sound = np.random.RandomState(0).randint(-99, 99, (12 * rate, 2))
    with BinauralWriter(tmp_path, rate, (0., ), panorama=False) as writer:
        writer.add_recording(
            'a', sound.astype(np.int16),
            [dict(split='train', start=s * rate, frame='frames/a.png')
             for s in range(0, 11, 2)], files)
    name, = (n for n in NAMES if n.startswith('spatial') and '16khz' in n)
    cfg = Config.fromfile(FOLDER / name)
    data = DATASETS.build(
        dict(cfg.train_dataloader.dataset, data_root=str(tmp_path)))
    model = MODELS.build(
        dict(cfg.model, data_preprocessor=cfg.data_preprocessor)).eval()
    batch = StrictRunner.build_dataloader(
        dict(cfg.train_dataloader, dataset=data, batch_size=3, num_workers=0,
             persistent_workers=False, pin_memory=False,
             sampler=dict(type='DefaultSampler', shuffle=False)))
    made = model.data_preprocessor(next(iter(batch)), False)
    inputs = made['inputs']
    assert torch.equal(inputs['rotated'], inputs['clip'].flip(1))
    losses = model.loss(**made)
    assert torch.isfinite(losses['spatial.loss'])
