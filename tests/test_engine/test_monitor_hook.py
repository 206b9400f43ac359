# Copyright (c) mmmultissl contributors. All rights reserved.
"""A run with the monitor ends bit for bit where one without it ends."""
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from mmmultissl.engine.hooks import MonitorHook

from ..test_evaluation.tiny_voc import make_tiny_voc
from . import resume_toy  # noqa: F401  its StopHook
from .monitor_toy import assert_same_end, every, monitored, probe, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    return make_tiny_voc(tmp_path_factory.mktemp('monitor'))


@pytest.fixture(scope='module')
def runs(voc, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    return (run(voc, folder / 'without'),
            run(voc, folder / 'with', every(2, voc)), folder)


def test_ends_bit_for_bit_as_without(runs):
    without, with_hook, folder = runs
    assert_same_end(folder / 'without', folder / 'with')
    expected, found = (r.model.state_dict() for r in (without, with_hook))
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    # Nothing of it stays behind.
    assert with_hook.model.training
    assert not with_hook.model._watchers
    assert not any(m._forward_pre_hooks or m._forward_hooks
                   for m in with_hook.model.modules())


def test_numbers_at_every_interval(runs):
    found = monitored(runs[2] / 'with')
    assert sorted(found) == [2, 4, 6, 8]
    for numbers in found.values():
        assert all(math.isfinite(value) for value in numbers.values())
        for name in ('trunk', 'moco.queue', 'densecl.queue',
                     'densecl.dense_queue'):
            assert -1 <= numbers[f'{name}/cosine'] <= 1
            assert -8 <= numbers[f'{name}/uniformity'] <= 0
            assert 0 <= numbers[f'{name}/alignment'] <= 4
            assert 0 <= numbers[f'{name}/positive_rank'] <= 1
        assert 1 <= numbers['trunk/effective_rank'] <= 16
        assert 0 < numbers['knn/mAP'] <= 100
        assert -1 <= numbers['gradient/cosine/moco:densecl'] <= 1
        assert numbers['gradient/norm/moco'] > 0
    # A batch of 8 into queues of 32.
    assert found[2]['moco.queue/filled'] == 0.5
    assert found[2]['moco.queue/age'] == 0.5
    assert found[8]['densecl.dense_queue/filled'] == 1
    assert found[8]['moco.queue/age'] == 1.5
    # The weights move, and so do the numbers.
    assert found[2]['trunk/cosine'] != found[4]['trunk/cosine']
    hub = runs[1].message_hub
    assert hub.get_scalar('monitor/trunk/cosine').current() == found[8][
        'trunk/cosine']
    # No loss, and not in the log line of mmengine.
    assert not [n for n in hub.log_scalars
                if 'monitor' in n and ('loss' in n or n.startswith('train'))]


def test_under_mixed_precision_and_accumulation(voc, tmp_path):
    options = {
        'optim_wrapper.type': 'mmmultissl.Bf16OptimWrapper',
        'optim_wrapper.accumulative_counts': 2,
        'train_cfg.max_iters': 4
    }
    run(voc, tmp_path / 'without', **options)
    run(voc, tmp_path / 'with', every(1, voc), **options)
    assert_same_end(tmp_path / 'without', tmp_path / 'with', iteration=4)
    assert monitored(tmp_path / 'with')[4]['gradient/norm/moco'] > 0


def test_resumed_run_logs_and_ends_the_same(voc, tmp_path):
    """Killed right after iteration 4, of whose features 7 still need some."""
    hook = every(7, rank=dict(interval=7, memory=32))
    run(voc, tmp_path / 'whole', hook)
    # The memory of the 4 steps before iteration 7 begins with the fourth.
    state = torch.load(tmp_path / 'whole/iter_4.pth', weights_only=True)
    assert state['monitor']['rank']['trunk'].shape == (8, 32)

    stopped = run(voc, tmp_path / 'killed', hook, custom_hooks=[
        dict(type='mmmultissl.MonitorHook', **hook),
        dict(type='StopHook', iteration=4)
    ])
    assert stopped.iter == 4
    run(voc, tmp_path / 'killed', hook, resume=True)
    assert_same_end(tmp_path / 'whole', tmp_path / 'killed')
    whole, resumed = (monitored(tmp_path / n) for n in ('whole', 'killed'))
    assert sorted(resumed) == [7, 8]
    # The images whose keys are looked at again are not in a checkpoint.
    for numbers in whole.values():
        for name in [n for n in numbers if n.endswith('key_cosine')]:
            del numbers[name]
    assert resumed == whole
    # The hook may come and go.
    run(voc, tmp_path / 'killed', resume=True,
        **{'train_cfg.max_iters': 9})


def test_a_run_that_breaks_is_ended_by_its_own_hook(voc, tmp_path):
    with pytest.raises(FloatingPointError, match='is not finite any more'):
        run(voc, tmp_path / 'run', every(1, voc), **{
            'optim_wrapper.optimizer.lr': 1e30,
            'default_hooks.logger.interval': 4
        })
    for numbers in monitored(tmp_path / 'run').values():
        assert all(math.isfinite(value) for value in numbers.values())


def test_bad_settings_are_said_at_once(voc, tmp_path):
    with pytest.raises(ValueError, match='no argument "intervall".*interval'):
        MonitorHook(batch=dict(intervall=3))
    for interval, told in ((0, '0'), ('5', "'5'"), (2.5, '2.5')):
        with pytest.raises(ValueError, match='BatchGeometry.*interval='
                           f'{told}: set'):
            MonitorHook(batch=dict(interval=interval))
    with pytest.raises(ValueError, match='memory of 1 features'):
        MonitorHook(rank=dict(memory=1))
    data = dict(type='mmmultissl.VOC07Images', data_root=str(voc),
                splits=('trainval', ))
    with pytest.raises(ValueError, match='has no images to judge: give'):
        run(voc, tmp_path / 'run', dict(knn=dict(probe(voc), dataset=data)))
    with pytest.raises(ValueError, match='watches mmmultissl.MultiSSL'):
        MonitorHook().before_train(SimpleNamespace(model=torch.nn.Conv2d))


def test_the_page(voc, tmp_path):
    """Its config builds and trains, and it names every number there is."""
    page = (ROOT / 'docs/monitor.md').read_text()
    block = page.split('```python\n')[1].split('```')[0]
    path = tmp_path / 'child.py'
    path.write_text(block)
    hook, = Config.fromfile(path).custom_hooks
    assert hook.pop('type') == 'mmmultissl.MonitorHook'
    hook.pop('_scope_', None)
    built = MonitorHook(**hook)
    assert built.measurements['knn'].interval == 1000
    # The snippet states the defaults.
    plain = MonitorHook()
    for name, measurement in plain.measurements.items():
        assert measurement.interval == built.measurements[name].interval
    assert plain.judge == built.judge

    run(voc, tmp_path / 'run', every(2, voc))
    for name in monitored(tmp_path / 'run')[8]:
        subject, _, key = name.rpartition('/')
        assert f'{key}`' in page or f'{subject}/{{task}}' in page, name


@pytest.mark.slow
def test_two_processes(voc, tmp_path):
    """The first one logs; none waits for another, and the end is the same."""
    hook = every(2, voc)
    for name, options in (('without', dict(batch=None, rank=None,
                                           gradients=None, queues=None,
                                           drift=None, keys=None)),
                          ('with', hook)):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        subprocess.run([
            sys.executable, '-m', 'torch.distributed.run',
            '--nproc_per_node=2', f'--master_port={port}', '-m',
            'tests.test_engine.monitor_toy', str(voc), str(tmp_path / name),
            repr(options)
        ], check=True, cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert_same_end(tmp_path / 'without', tmp_path / 'with')
    found = monitored(tmp_path / 'with')
    assert sorted(found) == [2, 4, 6, 8]
    assert monitored(tmp_path / 'without') == {}
    # Two processes write 16 keys at a time.
    assert found[2]['moco.queue/filled'] == 1
    assert found[2]['moco.queue/age'] == 0.5
    for numbers in found.values():
        assert all(math.isfinite(value) for value in numbers.values())
        assert 0 <= numbers['moco.queue/positive_rank'] <= 1
        assert 'knn/mAP' in numbers and 'gradient/norm/moco' in numbers
