# Copyright (c) mmmultissl contributors. All rights reserved.
"""A model, data and runner small enough to train, kill and resume in tests.

The data use all three random generators, the model has batch norm, dropout
and NumPy noise, so anything that is not resumed exactly shows.

As a program, ``resume_toy.py WORK_DIR key=value …`` trains one run: the tests
start it in processes of their own, to kill it or to have several ranks.
"""
import ast
import os
import random
import signal
import sys

import cv2
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from torch import nn

import mmmultissl.engine  # noqa: F401
from mmmultissl.registry import RUNNERS
from mmmultissl.utils.command_line import leave_processes

LENGTH = 13  # Neither a multiple of the batch size nor of the world size.


@DATASETS.register_module(force=True)
class RandomToyDataset(BaseDataset):
    """Samples that depend on random, numpy.random and torch."""

    def __init__(self, length=LENGTH, **kwargs):
        self.length = length
        super().__init__(**kwargs)

    def load_data_list(self):
        return [dict(number=i) for i in range(self.length)]

    def __getitem__(self, index):
        noise = torch.rand(3) + torch.from_numpy(
            np.random.rand(3)).float() + random.random()
        return dict(inputs=noise + index, number=index)


@MODELS.register_module(force=True)
class NoisyToyModel(BaseModel):
    """Batch norm, dropout and a NumPy number in each step."""

    def __init__(self, nan_from=None):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(8, 4))
        self.register_buffer('steps', torch.zeros((), dtype=torch.long))
        self.nan_from = nan_from

    def forward(self, inputs, number=None, mode='loss'):
        if mode == 'predict':
            return [float(torch.rand(()))]
        out = self.net(inputs) * (1 + np.random.rand() + random.random())
        loss = (out**2).mean()
        self.steps += 1
        bad = self.nan_from is not None and self.steps >= self.nan_from
        return {
            'moco.loss': loss,
            'densecl.loss_dense': loss * float('nan') if bad else loss.abs(),
            'moco.accuracy': out.detach().mean(),
        }


@METRICS.register_module(force=True)
class RandomToyMetric(BaseMetric):
    """Uses up random numbers while validating."""

    def process(self, data_batch, data_samples):
        random.random(), np.random.rand()
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(mean=float(np.mean(results)))


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """SIGKILL this process in the middle of an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module(force=True)
class StopHook(Hook):
    """End the loop after an iteration, as if the process were gone."""

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter + 1 == self.iteration:
            runner.train_loop.stop_training = True


def make_images(folder, count=LENGTH):
    """Write small random pictures."""
    folder.mkdir()
    rng = np.random.RandomState(0)
    for i in range(count):
        image = rng.randint(0, 255, (6, 6, 3), np.uint8)
        image = cv2.resize(image, (48, 40), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f'{i}.jpg'), image)


def multi_ssl(channels_last=False):
    """The real thing in small: MoCo v2 and DenseCL on a thin ResNet-18."""
    neck = dict(in_channels=64, hid_channels=16, out_channels=8)
    task = dict(
        queue_len=10,
        feat_dim=8,
        momentum=0.1,
        loss=dict(type='mmmultissl.InfoNCE', temperature=0.2))
    return dict(
        type='mmmultissl.MultiSSL',
        channels_last=channels_last,
        data_preprocessor=dict(
            type='mmpretrain.SelfSupDataPreprocessor',
            mean=[127.5] * 3,
            std=[60.] * 3,
            to_rgb=True),
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            stem_channels=8,
            base_channels=8,
            norm_cfg=dict(type='BN')),
        tasks=dict(
            moco=dict(
                type='mmmultissl.MoCoV2Task',
                neck=dict(
                    type='mmpretrain.MoCoV2Neck', with_avg_pool=True, **neck),
                **task),
            densecl=dict(
                type='mmmultissl.DenseCLTask',
                neck=dict(
                    type='mmpretrain.DenseCLNeck', num_grid=None, **neck),
                warmup_iters=2,
                **task)))


def two_views(folder):
    """MoCo v2's views of a folder of images."""
    scope = 'mmpretrain.'
    jitter = [
        dict(
            type=scope + 'ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1)
    ]
    view = [
        dict(
            type=scope + 'RandomResizedCrop',
            scale=32,
            crop_ratio_range=(0.2, 1.)),
        dict(type='RandomApply', transforms=jitter, prob=0.8),
        dict(
            type=scope + 'RandomGrayscale',
            prob=0.2,
            keep_channels=True,
            channel_weights=(0.114, 0.587, 0.2989)),
        dict(
            type=scope + 'GaussianBlur',
            magnitude_range=(0.1, 2.0),
            magnitude_std='inf',
            prob=0.5),
        dict(type=scope + 'RandomFlip', prob=0.5),
    ]
    return dict(
        type='mmmultissl.ImageFolder',
        data_root=str(folder),
        pipeline=[
            dict(type='mmmultissl.LoadImage'),
            dict(type=scope + 'MultiView', num_views=2, transforms=[view]),
            dict(type=scope + 'PackInputs')
        ])


def build(work_dir,
          max_iters=8,
          max_epochs=None,
          resume=False,
          workers=0,
          accumulation=1,
          seed=7,
          interval=4,
          batch_size=4,
          length=LENGTH,
          kill_at=None,
          stop_at=None,
          nan_from=None,
          validate=False,
          launcher='none',
          log_interval=2,
          persistent=False,
          context=None,
          scheduler=None,
          train_cfg=None,
          dataset=None,
          images=None,
          channels_last=False,
          nan_rank=None,
          diff_rank_seed=False,
          find_unused=False,
          by_epoch=False,
          sampler='mmmultissl.PassSampler'):
    """Build a runner: the toy's, or MultiSSL's on a folder of images."""
    if nan_rank is not None and os.environ['RANK'] != str(nan_rank):
        nan_from = None
    model = dict(type='NoisyToyModel', nan_from=nan_from)
    if images is not None:
        model, dataset = multi_ssl(channels_last), two_views(images)
    hooks = []
    if kill_at is not None:
        hooks.append(dict(type='KillHook', iteration=kill_at))
    if stop_at is not None:
        hooks.append(dict(type='StopHook', iteration=stop_at))
    loader = dict(
        dataset=dataset or dict(type='RandomToyDataset', length=length),
        sampler=dict(type=sampler),
        collate_fn=dict(type='default_collate'),
        batch_size=batch_size,
        num_workers=workers)
    if persistent:
        loader['persistent_workers'] = True
    if context:
        loader['multiprocessing_context'] = context
    extra = {}
    if validate:
        extra = dict(
            val_dataloader=dict(
                dataset=dict(type='RandomToyDataset'),
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                batch_size=4),
            val_cfg=dict(),
            val_evaluator=dict(type='RandomToyMetric'))
    cfg = dict(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(
            type='mmmultissl.PretrainLoop',
            max_iters=max_iters if max_epochs is None else None,
            max_epochs=max_epochs,
            val_interval=2,
            **(train_cfg or {})),
        optim_wrapper=dict(
            type='OptimWrapper',
            accumulative_counts=accumulation,
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[
            scheduler or dict(type='CosineAnnealingLR', by_epoch=False)
        ],
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=log_interval),
            checkpoint=dict(
                type='CheckpointHook', by_epoch=by_epoch, interval=interval)),
        custom_hooks=hooks,
        resume=resume,
        launcher=launcher,
        randomness=dict(seed=seed, diff_rank_seed=diff_rank_seed),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        log_level='WARNING',
        default_scope='mmpretrain' if images else 'mmengine',
        experiment_name=os.path.basename(str(work_dir)) + os.urandom(4).hex(),
        find_unused_parameters=find_unused,
        **extra)
    return RUNNERS.get('StrictRunner').from_cfg(cfg)


def final_state(work_dir):
    """Read what must be equal: model, optimiser and schedulers."""
    with open(os.path.join(str(work_dir), 'last_checkpoint')) as file:
        path = file.read().strip()
    checkpoint = torch.load(path, weights_only=True)
    return {
        key: checkpoint[key]
        for key in ('state_dict', 'optimizer', 'param_schedulers')
    }, checkpoint['meta']


def assert_equal(left, right, where=''):
    """Compare nested values, tensors bit for bit."""
    assert type(left) is type(right), where
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    elif isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_equal(left[key], right[key], f'{where}.{key}')
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for i, pair in enumerate(zip(left, right)):
            assert_equal(*pair, f'{where}[{i}]')
    else:
        assert left == right, where


if __name__ == '__main__':
    torch.set_num_threads(1)
    options = dict(arg.split('=', 1) for arg in sys.argv[2:])
    build(
        sys.argv[1],
        **{k: ast.literal_eval(v)
           for k, v in options.items()}).train()
    leave_processes()
