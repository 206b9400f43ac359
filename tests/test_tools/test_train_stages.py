# Copyright (c) mmmultissl contributors. All rights reserved.
"""tools/train.py with stages: processes, signals, several ranks."""
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmmultissl.engine.stages.config_text import text_of
from tests.test_engine.stages_toy import assert_equal, config, make_images

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """A config file of two stages."""
    folder = tmp_path_factory.mktemp('toy')
    make_images(folder / 'images')
    cfg = config(str(folder / 'images'), folder / 'unused')
    cfg.log_level = 'INFO'
    (folder / 'toy.py').write_text(text_of(cfg, 'two stages'))
    return folder / 'toy.py'


def environment(**more):
    return {
        **os.environ, 'OMP_NUM_THREADS': '1',
        'CUDA_VISIBLE_DEVICES': '',
        'PYTHON': sys.executable,
        'PYTHONPATH': str(ROOT),
        **more
    }


def start(toy, work_dir, *options, tool=(sys.executable, 'tools/train.py'),
          processes=(), **more):
    return subprocess.Popen(
        [*tool, str(toy), *processes, '--work-dir', str(work_dir), *options],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**more))


def end(process, status=0):
    text = process.communicate(timeout=300)[0]
    assert process.returncode == status, text[-5000:]
    return text


def states(work_dir):
    last = Path((work_dir / 'last_checkpoint').read_text())
    checkpoint = torch.load(last, weights_only=True)
    return [checkpoint[key]
            for key in ('state_dict', 'optimizer', 'param_schedulers')]


@pytest.fixture(scope='module')
def straight(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp('straight')
    return folder, end(start(toy, folder))


def test_the_user_sees_stages_and_updates(straight):
    folder, text = straight
    lines = text.splitlines()
    assert f'2 stages, 10 updates in all, in {folder}' in lines
    told = [line for line in lines if line.startswith('stage ')]
    assert told[0] == 'stage 1 of 2, moco: begins'
    assert told[1].startswith('stage 1 of 2, moco: 6 of 6 updates, about ')
    assert told[2].startswith('stage 1 of 2, moco: done in ')
    assert told[-2] == 'stage 2 of 2, densecl: 4 of 4 updates'
    # mmengine's own log of the stages is there too.
    assert 'Iter(train) [6/6]' in text and 'densecl.loss_dense' in text
    listed = json.loads((folder / 'stages.json').read_text())
    assert all(stage['done'] for stage in listed['stages'])


@pytest.mark.parametrize('ends', ['2_densecl 3 kill'])
def test_killed_in_a_stage_and_started_again(toy, straight, tmp_path, ends):
    text = end(start(toy, tmp_path, END_AT=ends), status=1)
    assert 'stage 2 of 2, densecl: failed with exit status -9' in text
    text = end(start(toy, tmp_path))
    assert 'stage 1 of 2, moco: was done before' in text
    assert 'stage 2 of 2, densecl: goes on' in text
    assert_equal(states(straight[0]), states(tmp_path))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_stage_and_ends_the_run(toy, tmp_path, number):
    process = start(toy, tmp_path, '--cfg-options', 'stages.moco.updates=9000',
                    'total_updates=9004')
    for line in process.stdout:
        if 'Iter(train)' in line:
            break
    process.send_signal(number)
    text = end(process, status=128 + number)
    assert 'stage 1 of 2, moco: interrupted after ' in text
    assert 'Traceback' not in text
    if number == signal.SIGINT:
        assert f'--resume --work-dir {tmp_path / "1_moco"} goes on' in text
    # The stage's process, which holds the lock too, is gone.
    process = start(toy, tmp_path, '--cfg-options',
                    'stage_order=moco,dense')
    assert 'stage_order names dense, which is no stage: there are moco, ' \
        'densecl.' in end(process, status=1).splitlines()[-1]
    assert not (tmp_path / '1_moco' / 'stage.json').exists()


def test_killed_while_it_watches(toy, tmp_path):
    """The stage goes on, and nobody else may train in its folder."""
    options = ('--cfg-options', 'stages.moco.updates=9000',
               'total_updates=9004')
    process = start(toy, tmp_path, *options)
    for line in process.stdout:
        if 'Iter(train)' in line:
            break
    children = subprocess.run(
        ['ps', '--ppid', str(process.pid), '-o', 'pid='],
        capture_output=True, text=True, check=True).stdout.split()
    child, = map(int, children)
    process.kill()
    process.wait()
    try:
        text = end(start(toy, tmp_path, *options), status=1)
    finally:
        os.kill(child, signal.SIGKILL)
    assert 'Another run is at work in' in text.splitlines()[-1]


def test_two_processes_run_two_stages(toy, tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])

    def train(work_dir, status=0, **more):
        return end(start(
            toy, work_dir, '--cfg-options', 'train_dataloader.batch_size=2',
            tool=('tools/dist_train.sh', ), processes=('2', ), PORT=port,
            **more), status)

    text = train(tmp_path / 'straight')
    assert text.count('stage 2 of 2, densecl: begins') == 1
    last = torch.load(tmp_path / 'straight' / '2_densecl' / 'iter_4.pth',
                      weights_only=True)
    assert last['meta']['pretrain']['world_size'] == 2
    # Both ranks are killed in the second stage.
    train(tmp_path / 'cut', status=1, END_AT='2_densecl 3 kill')
    assert 'stage 1 of 2, moco: was done before' in train(tmp_path / 'cut')
    assert_equal(states(tmp_path / 'straight'), states(tmp_path / 'cut'))


def test_torchrun_with_one_process(toy, straight, tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    end(start(toy, tmp_path, tool=('tools/dist_train.sh', ),
              processes=('1', ), PORT=port))
    assert_equal(states(straight[0]), states(tmp_path))


def test_slurms_variables_are_understood(toy, tmp_path):
    """Without a Slurm: its step is played by two processes."""
    tools = tmp_path / 'bin'
    tools.mkdir()
    (tools / 'scontrol').write_text('#!/bin/sh\necho 127.0.0.1\n')
    (tools / 'scontrol').chmod(0o755)
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    ranks = [
        start(toy, tmp_path / 'run', '--launcher', 'slurm', '--cfg-options',
              'train_dataloader.batch_size=2', SLURM_PROCID=str(rank),
              SLURM_LOCALID=str(rank), SLURM_NTASKS='2',
              SLURM_NODELIST='node[1-1]', MASTER_PORT=port,
              PATH=f'{tools}:{os.environ["PATH"]}') for rank in range(2)
    ]
    texts = [end(rank) for rank in ranks]
    assert 'All stages are done' in texts[0]
    assert 'stage' not in texts[1]
    last = torch.load(tmp_path / 'run' / '2_densecl' / 'iter_4.pth',
                      weights_only=True)
    assert last['meta']['pretrain']['world_size'] == 2


@pytest.mark.parametrize('options, words', [
    (('--resume', 'a.pth'), 'names the checkpoint of one stage'),
    (('--cfg-options', 'stage_order=moco,moco'), 'names moco twice'),
    (('--cfg-options', 'stages.moco.updates=11'), 'have 11 updates, but '
     'total_updates is 10'),
    (('--launcher', 'mpi'), 'cannot be run by the launcher mpi'),
])
def test_mistakes_end_in_one_sentence(toy, tmp_path, options, words):
    text = end(start(toy, tmp_path, *options), status=1)
    assert words in text.splitlines()[-1]


def test_a_stage_of_another_run_is_taken_over(toy, straight, tmp_path):
    folder, _ = straight
    text = end(start(toy, tmp_path, '--finished-stages', str(folder)))
    assert text.count('taken over from') == 2 and 'begins' not in text
    assert_equal(states(folder), states(tmp_path), 'taken over')
    alone = tmp_path / '1_moco' / 'config.py'
    text = end(start(alone, tmp_path / 'alone', '--finished-stages', 'x'), 1)
    assert text.rstrip().endswith('has none: leave it out.')
