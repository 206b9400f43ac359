# Copyright (c) mmmultissl contributors. All rights reserved.
"""Two stages of MoCo v2 and DenseCL on a few made images."""
import copy
import os
import signal
from pathlib import Path
from unittest.mock import patch

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmmultissl.engine.stages.config_text import text_of
from mmmultissl.utils.command_line import build_runner

from .resume_toy import (assert_equal, make_images, multi_ssl,  # noqa: F401
                         two_views)

DISTILL = dict(
    distance=dict(type='mmmultissl.EuclideanDistance'),
    views=('view0', ),
    weight=0.)


class Cut(Exception):
    """The end of a stage in the middle of an iteration."""


@HOOKS.register_module(force=True)
class EndHook(Hook):
    """End a stage early, by ``END_AT='FOLDER ITERATION HOW'``.

    How: ``cut`` raises, ``kill`` kills this process, ``stop`` ends the loop
    after the iteration.
    """

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        folder, iteration, how = os.environ.get('END_AT', '- 0 -').split()
        if (os.path.basename(runner.work_dir) != folder
                or runner.iter != int(iteration)):
            return
        if how == 'cut':
            raise Cut
        if how == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        runner.train_loop.stop_training = True


def config(images, work_dir, distill=None, **changes):
    """Six and four updates, in the order MoCo v2, DenseCL."""
    stage = dict(distill=distill) if distill else {}
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            custom_imports=dict(imports=['tests.test_engine.stages_toy']),
            runner_type='mmmultissl.StrictRunner',
            work_dir=str(work_dir),
            model=multi_ssl(),
            train_dataloader=dict(
                dataset=two_views(images),
                sampler=dict(type='mmmultissl.PassSampler'),
                collate_fn=dict(type='default_collate'),
                batch_size=4,
                num_workers=0),
            train_cfg=dict(type='mmmultissl.PretrainLoop', max_epochs=3),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
            param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=False)],
            default_hooks=dict(
                logger=dict(type='LoggerHook', interval=1),
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=2)),
            custom_hooks=[dict(type='EndHook')],
            log_processor=dict(by_epoch=False),
            log_level='WARNING',
            randomness=dict(seed=7),
            stages=dict(
                moco=dict(updates=6, **copy.deepcopy(stage)),
                densecl=copy.deepcopy(stage)),
            stage_order=['moco', 'densecl'],
            total_updates=10))
    cfg.merge_from_dict(changes)
    return cfg


class InProcess:
    """Trains stages here: starting Python takes longer than they do."""

    def __init__(self):
        self.trained = []

    def __call__(self, file, work_dir, resume, port, keep, read):
        self.trained.append((Path(work_dir).name, resume))
        cfg = Config.fromfile(file)
        cfg.work_dir, cfg.resume = work_dir, resume
        cfg.experiment_name = Path(work_dir).name + os.urandom(4).hex()
        # mmengine logs and dumps the config laid out by yapf, which takes
        # several times as long as the training.
        with patch.object(Config, 'pretty_text',
                          property(lambda each: text_of(each, 'a test'))):
            build_runner(cfg).train()
        return 0
