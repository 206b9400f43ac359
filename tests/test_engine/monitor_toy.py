# Copyright (c) mmmultissl contributors. All rights reserved.
"""Short real runs for the monitor: MoCo v2 and DenseCL, or a task without
negatives that collapses.

As a program, ``python -m tests.test_engine.monitor_toy VOC WORK_DIR HOOK``
trains one run under torchrun.
"""
import ast
import json
import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from torch.nn import functional as F
from torch.testing import assert_close

from mmmultissl.engine.runner import StrictRunner
from mmmultissl.models import PretextTask
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import leave_processes

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
    tasks=dict(moco=small, densecl=dict(warmup_iters=2, **small)))
train_cfg = dict(_delete_=True, type='mmmultissl.PretrainLoop', max_iters=8)
param_scheduler = None
default_hooks = dict(checkpoint=dict(interval=4, max_keep_ckpts=-1),
                     logger=dict(interval=2))
randomness = dict(seed=0)
log_level = 'WARNING'
"""


@MODELS.register_module(force=True)
class PullTogether(PretextTask):
    """Two views of an image as alike as can be, and nothing against it."""

    query_views = ('view0', 'view1')

    def loss(self, views, data_samples=None):
        left, right = (
            F.normalize(views.query(view)[-1].mean((2, 3)), dim=1)
            for view in self.query_views)
        return dict(loss=-(left * right.mean(0)).sum(1).mean())


def config(voc, work_dir, hook=None, **settings):
    """Read the config of a run."""
    path = Path(voc) / f'config_{os.getpid()}.py'
    path.write_text(CONFIG.format(voc=str(voc)))
    cfg = Config.fromfile(path)
    cfg.work_dir = str(work_dir)
    if hook is not None:
        cfg.custom_hooks = [dict(type='mmmultissl.MonitorHook', **hook)]
    cfg.merge_from_dict(settings)
    cfg.experiment_name = Path(work_dir).name + os.urandom(3).hex()
    return cfg


def run(voc, work_dir, hook=None, **settings):
    """Train a run to its end."""
    runner = StrictRunner.from_cfg(config(voc, work_dir, hook, **settings))
    runner.train()
    return runner


def probe(voc, **kwargs):
    """The labelled set of tiny VOC."""
    return dict(
        dataset=dict(
            type='mmmultissl.VOC07Images', data_root=str(voc), image_size=32),
        neighbours=3,
        batch_size=8,
        num_workers=0,
        **kwargs)


def every(interval, voc=None, **others):
    """All measurements at one interval."""
    settings = dict(
        batch=dict(interval=interval),
        rank=dict(interval=interval, memory=16),
        gradients=dict(interval=interval),
        queues=dict(interval=interval),
        keys=dict(interval=interval),
        drift=dict(interval=interval, memory=16))
    if voc is not None:
        settings['knn'] = probe(voc, interval=interval)
    return dict(settings, **others)


def monitored(folder):
    """Read what was logged: step -> numbers."""
    found = {}
    for path in sorted(Path(folder).glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            line = json.loads(line)
            numbers = {
                name[len('monitor/'):]: value
                for name, value in line.items() if name.startswith('monitor/')
            }
            if numbers:
                found.setdefault(line['step'], {}).update(numbers)
    return found


def assert_same_end(*folders, iteration=8):
    """Compare model and optimiser of two runs, bit for bit."""
    states = [
        torch.load(folder / f'iter_{iteration}.pth', weights_only=True)
        for folder in folders
    ]
    for key in ('state_dict', 'optimizer'):
        assert_close(states[0][key], states[1][key], rtol=0, atol=0)
    return states


if __name__ == '__main__':
    torch.set_num_threads(1)
    run(sys.argv[1], sys.argv[2], ast.literal_eval(sys.argv[3]),
        launcher='pytorch')
    leave_processes()
