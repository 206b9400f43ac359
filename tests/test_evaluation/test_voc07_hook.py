# Copyright (c) mmmultissl contributors. All rights reserved.
"""A run with the hook ends bit for bit where one without it ends."""
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch.testing import assert_close

from mmmultissl.engine.hooks import VOC07Hook
from mmmultissl.engine.runner import StrictRunner
from mmmultissl.evaluation.voc07.command import main

from .tiny_voc import make_tiny_voc

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = 'mmmultissl::multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'
view_pipeline = _base_.view_pipeline
view_pipeline[0].scale = 32
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms = [view_pipeline]
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False,
    collate_fn=dict(type='default_collate'),
    dataset=dict(data_root={voc!r}, data_prefix='JPEGImages',
                 pipeline=train_pipeline))
small = dict(queue_len=32, neck=dict(in_channels=32, hid_channels=16))
model = dict(
    backbone=dict(base_channels=4, stem_channels=4),
    tasks=dict(moco=small, densecl=small))
train_cfg = dict(_delete_=True, type='mmmultissl.PretrainLoop', max_iters=4)
param_scheduler = None
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
randomness = dict(seed=0)
log_level = 'WARNING'
"""


def _run(voc, work_dir, *hooks, **settings):
    path = voc / 'config.py'
    path.write_text(CONFIG.format(voc=str(voc)))
    cfg = Config.fromfile(path)
    cfg.work_dir = str(work_dir)
    cfg.custom_hooks = list(hooks)
    cfg.merge_from_dict(settings)
    cfg.experiment_name = work_dir.name
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    return runner


def _hook(voc, **kwargs):
    options = dict(
        type='mmmultissl.VOC07Hook',
        data_root=str(voc),
        interval=1,
        image_size=32,
        probes=('svm', 'low_shot', 'knn'),
        stages='all',
        svm=dict(costs=(1., 0.1)),
        low_shot=dict(shots=(2, ), samples=2),
        knn=dict(neighbours=(3, )),
        batch_size=8,
        num_workers=0)
    return dict(options, **kwargs)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('voc07_hook')
    voc = make_tiny_voc(folder)
    return (_run(voc, folder / 'without'),
            _run(voc, folder / 'with', _hook(voc)), folder, voc)


def _scalars(folder):
    path, = folder.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ends_bit_for_bit_as_without(runs):
    without, with_hook, folder, _ = runs
    states = [
        torch.load(folder / name / 'iter_4.pth', weights_only=True)
        for name in ('without', 'with')
    ]
    for key in ('state_dict', 'optimizer'):
        assert_close(states[0][key], states[1][key], rtol=0, atol=0)
    expected, found = (run.model.state_dict() for run in (without, with_hook))
    assert expected.keys() == found.keys()
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    assert with_hook.model.backbone.out_indices == (3, )
    assert with_hook.model.training
    losses = [[line['loss'] for line in _scalars(folder / name)
               if 'loss' in line] for name in ('without', 'with')]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def test_metrics_are_mmengines_scalars(runs):
    lines = [line for line in _scalars(runs[2] / 'with')
             if 'voc07/knn/mAP' in line]
    assert [line['step'] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        for name in ('voc07/svm/mAP', 'voc07/low_shot/k2',
                     'voc07/knn/AP/bright', 'voc07/stage0/svm/mAP'):
            assert 0 < line[name] <= 100
    # The weights move, and so do the figures.
    assert len({line['voc07/low_shot/k2'] + line['voc07/stage2/knn/mAP']
                for line in lines}) > 1
    # No other file.
    assert not list((runs[2] / 'with').rglob('voc07*'))


def _check_by_the_command(voc, folder):
    """Compare the figures with those of the checkpoint."""
    result = main([
        str(voc / 'config.py'), str(folder / 'iter_4.pth'),
        '--data-root', str(voc), '--size', '32', '--stages', 'all',
        '--probes', 'svm', 'low_shot', 'knn', '--costs', '1', '0.1',
        '--shots', '2', '--samples', '2', '--neighbours', '3',
        '--device', 'cpu', '--num-workers', '0', '--work-dir',
        str(folder / 'command')])
    line = _scalars(folder)[-1]
    assert line['step'] == 4
    assert line['voc07/svm/mAP'] == result['mAP']
    assert line['voc07/knn/mAP'] == result['knn']['mAP']
    assert line['voc07/low_shot/k2'] == result['low_shot']['shots']['2']['mAP']


def test_figures_are_those_of_the_command(runs):
    _check_by_the_command(runs[3], runs[2] / 'with')


@pytest.mark.slow
def test_two_processes(runs, tmp_path):
    voc = runs[3]
    states = []
    for name, hooks in (('without', []), ('with', [_hook(voc)])):
        path = tmp_path / f'{name}.py'
        path.write_text(
            CONFIG.format(voc=str(voc)) + f'custom_hooks = {hooks!r}\n')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        subprocess.run([
            sys.executable, '-m', 'torch.distributed.run',
            '--nproc_per_node=2', f'--master_port={port}',
            str(ROOT / 'tools/train.py'), str(path), '--launcher', 'pytorch',
            '--work-dir', str(tmp_path / name)
        ], check=True, cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS='1'))
        states.append(
            torch.load(tmp_path / name / 'iter_4.pth', weights_only=True))
    for key in ('state_dict', 'optimizer'):
        assert_close(states[0][key], states[1][key], rtol=0, atol=0)
    _check_by_the_command(voc, tmp_path / 'with')


@pytest.mark.parametrize('options, expected', [
    (dict(), [12]),
    (dict(interval=5), [5, 10, 12]),
    (dict(interval=4), [4, 8, 12]),
    (dict(interval=5, at_end=False), [5, 10]),
    (dict(interval=2, by_epoch=True), [6, 12]),
])
def test_when(options, expected, monkeypatch):
    steps = []
    monkeypatch.setattr(VOC07Hook, '_evaluate',
                        lambda self, runner, step: steps.append(step))
    hook = VOC07Hook('anywhere', **options)
    for iteration in range(12):
        # A pass has three iterations.
        hook.after_train_iter(
            SimpleNamespace(
                iter=iteration, max_iters=12, train_dataloader=range(3)),
            iteration)
    assert steps == expected


def test_what_cannot_work_is_said_at_once(runs, tmp_path):
    voc = runs[3]
    with pytest.raises(FileNotFoundError, match='is not a VOC data set'):
        _run(voc, tmp_path / 'a', _hook(tmp_path))
    with pytest.raises(ValueError, match='at_end=False'):
        VOC07Hook('anywhere', at_end=False)
    with pytest.raises(ValueError, match='svm has no choice cost'):
        VOC07Hook('anywhere', svm=dict(cost=1.))


def test_the_documentations_hook():
    text = (ROOT / 'docs/voc07.md').read_text()
    block = text.split('```python\n')[1].split('```')[0]
    found = {}
    exec(block, found)
    options, = found['custom_hooks']
    assert options.pop('type') == 'mmmultissl.VOC07Hook'
    hook = VOC07Hook(**options)
    assert hook.interval == 5000 and hook.protocol.pool == 'avg'
    assert hook.protocol.probes == ('svm', 'knn')
