# Copyright (c) mmmultissl contributors. All rights reserved.
"""tools/train.py end to end on a few made images, with its switches."""
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
CONFIG = (
    'configs/multissl/'
    'multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for i in range(12):
        picture = cv2.resize(
            rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (80, 60))
        cv2.imwrite(str(folder / f'{i}.jpg'), picture)
    return folder


def command(images, work_dir, *options):
    return [
        '--work-dir',
        str(work_dir), '--cfg-options',
        f'train_dataloader.dataset.data_root={images}',
        'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0',
        'train_dataloader.persistent_workers=False',
        'train_cfg.max_epochs=None', 'train_cfg.max_iters=4',
        'default_hooks.logger.interval=2',
        'default_hooks.checkpoint.interval=2', 'randomness.seed=0',
        'model.tasks.moco.queue_len=16', 'model.tasks.densecl.queue_len=16',
        'model.tasks.densecl.warmup_iters=1', *options
    ]


def run(arguments):
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        text=True,
        capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def train(images, work_dir, *options, flags=()):
    text = run([sys.executable, 'tools/train.py', CONFIG, *flags] +
               command(images, work_dir, *options))
    assert (work_dir / 'last_checkpoint').read_text().strip() == str(
        work_dir / 'iter_4.pth')
    return text


def scalars(work_dir):
    file, = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_pretraining_writes_a_checkpoint_for_every_use(images, tmp_path):
    text = train(images, tmp_path)
    assert 'EMA trunk ema0 (momentum 0.01) serves the tasks moco, densecl.' \
        in text
    losses = scalars(tmp_path)[-1]
    assert {'moco.loss', 'densecl.loss_single', 'densecl.loss_dense',
            'loss'} <= set(losses)
    assert losses['loss'] == pytest.approx(
        losses['moco.loss'] + losses['densecl.loss_single'] +
        losses['densecl.loss_dense'], rel=1e-4)
    state = torch.load(tmp_path / 'iter_4.pth')['state_dict']
    assert {key.split('.')[0] for key in state} == {
        'backbone', 'tasks', 'momentum'}


@pytest.mark.parametrize('flags, options', [
    (('--amp', ), ()),
    ((), ('optim_wrapper.accumulative_counts=2', )),
    ((), ('model.channels_last=False', )),
    ((), ('optim_wrapper.type=mmmultissl.Bf16OptimWrapper',
          'optim_wrapper.accumulative_counts=2')),
], ids=['amp', 'accumulation', 'NCHW', 'bf16 and accumulation'])
def test_switches_train(images, tmp_path, flags, options):
    train(images, tmp_path, *options, flags=flags)
    assert np.isfinite(scalars(tmp_path)[-1]['loss'])
    cfg = Config.fromfile(tmp_path / Path(CONFIG).name)
    assert cfg.model.channels_last == (
        'model.channels_last=False' not in options)
    half = bool(flags) or any('Bf16' in option for option in options)
    assert cfg.optim_wrapper.type == (
        'mmmultissl.Bf16OptimWrapper' if half else 'OptimWrapper')


def test_tensorboard(images, tmp_path):
    train(images, tmp_path,
          'visualizer.vis_backends.0.type=TensorboardVisBackend')
    from tensorboard.backend.event_processing.event_accumulator import \
        EventAccumulator
    file, = tmp_path.glob('*/vis_data/events*')
    events = EventAccumulator(str(file)).Reload()
    assert 'moco.loss' in events.Tags()['scalars']
    assert [e.step for e in events.Scalars('moco.loss')] == [2, 4]


def test_two_processes_by_dist_train(images, tmp_path):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        os.environ['PORT'] = str(s.getsockname()[1])
    try:
        text = run(['tools/dist_train.sh', CONFIG, '2', '--amp'] +
                   command(images, tmp_path))
    finally:
        del os.environ['PORT']
    assert re.search(r'gloo', text)
    state = torch.load(tmp_path / 'iter_4.pth')['state_dict']
    # 4 iterations of 2 x 4 keys.
    assert int(state['tasks.moco.queue._extra_state']) == 32


@pytest.mark.parametrize('arguments, sentence', [
    (['configs/nothing.py'], 'There is no config configs/nothing.py'),
    (['configs/voc07/svm_resnet50.py'], 'has no train_cfg'),
    ([CONFIG, '--cfg-options',
      'train_dataloader.dataset.data_root=no/such/folder'],
     'The image folder no/such/folder does not exist'),
])
def test_errors_end_in_one_sentence(arguments, sentence, tmp_path):
    done = subprocess.run(
        [sys.executable, 'tools/train.py', '--work-dir', str(tmp_path)] +
        arguments,
        cwd=ROOT,
        text=True,
        capture_output=True)
    assert done.returncode != 0
    assert sentence in done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('counts, updates', [(1, 4), (2, 2)])
def test_ema_moves_once_per_optimiser_step(images, tmp_path, counts, updates):
    train(images, tmp_path, f'optim_wrapper.accumulative_counts={counts}')
    state = torch.load(tmp_path / 'iter_4.pth')['state_dict']
    assert state['momentum.ema0._extra_state'].tolist() == [updates, 0]


def test_a_config_that_inherits_by_package_name_trains(images, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(
        f"_base_ = 'mmmultissl::multissl/{Path(CONFIG).name}'\n"
        'train_dataloader = dict(num_workers=0, persistent_workers=False)\n')
    work_dir = tmp_path / 'run'
    run([sys.executable, 'tools/train.py', str(child)] +
        command(images, work_dir))
    assert (work_dir / 'iter_4.pth').is_file()
