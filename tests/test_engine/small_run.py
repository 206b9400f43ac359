# Copyright (c) mmmultissl contributors. All rights reserved.
"""A run of StrictRunner that takes milliseconds.

As a program, ``python -m tests.test_engine.small_run WORK_DIR key=value …``
trains one run, for the tests that need processes of their own.
"""
import ast
import itertools
import os
import sys

import torch
from mmengine.config import Config
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import MODELS
from torch import nn
from torch.utils.data import Dataset

from mmmultissl.engine.runner import StrictRunner
from mmmultissl.utils.command_line import leave_processes

_NUMBER = itertools.count()


class Encoder(BaseModule):

    def __init__(self, width=2, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.norm(self.conv(x))


@MODELS.register_module('SmallStrictModel', force=True)
class SmallModel(BaseModel):

    def __init__(self, width=2, init_cfg=None, sync_bn=False, padding=0):
        super().__init__()
        self.backbone = Encoder(width, init_cfg)
        self.head = nn.Linear(width, 1)
        if sync_bn:
            self.backbone = nn.SyncBatchNorm.convert_sync_batchnorm(
                self.backbone)
        # Makes a checkpoint large enough to be killed while it is written.
        self.register_buffer('padding', torch.zeros(padding))

    def forward(self, x, mode='loss'):
        out = self.head(self.backbone(x))
        return dict(loss=out.pow(2).mean()) if mode == 'loss' else out


class SmallData(Dataset):
    metainfo = dict(classes=('cat', 'dog'))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(x=torch.full((2, ), float(index)) + torch.rand(2))


def small_runner(work_dir, model=None, iters=4, interval=2, cfg=None,
                 optimizer=None, **settings):
    """Build a StrictRunner; ``cfg`` holds top-level keys of the config."""
    hook = dict(type='CheckpointHook', by_epoch=False, interval=interval)
    hook.update(settings.pop('checkpoint_hook', {}))
    return StrictRunner(
        model=model or SmallModel(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=SmallData(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='InfiniteSampler')),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iters),
        optim_wrapper=dict(
            type='OptimWrapper',
            optimizer=optimizer or dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, end=4, by_epoch=False)
        ],
        default_hooks=dict(
            checkpoint=hook, logger=dict(type='LoggerHook', interval=1)),
        log_level='ERROR',
        # mmengine keeps one logger and one message hub per name.
        experiment_name=f'small_{os.getpid()}_{next(_NUMBER)}',
        cfg=Config(cfg or {}),
        **settings)


if __name__ == '__main__':
    torch.set_num_threads(1)
    options = dict(word.split('=', 1) for word in sys.argv[2:])
    options = {key: ast.literal_eval(value) for key, value in options.items()}
    model_options = {
        key: options.pop(key)
        for key in ('padding', 'sync_bn') if key in options
    }
    runner = small_runner(
        sys.argv[1], model=SmallModel(**model_options), **options)
    runner.train()
    total = sum(p.double().sum() for p in runner.model.parameters())
    print(f'rank {runner.rank} of {runner.world_size} '
          f'{type(runner.model).__name__} {float(total)!r}', flush=True)
    leave_processes()
