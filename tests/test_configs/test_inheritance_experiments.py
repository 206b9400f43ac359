# Copyright (c) mmmultissl contributors. All rights reserved.
"""The experiments that configs/README.md shows do what it says."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope

import mmmultissl  # noqa: F401

README = Path(__file__).parents[2] / 'configs' / 'README.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', README.read_text(), re.S)
VIEWS = [torch.randn(2, 3, 64, 64) for _ in range(2)]


@pytest.fixture
def experiment(tmp_path):

    def run(number):
        """Read an experiment, build its model and compute a step's losses."""
        file = tmp_path / f'experiment{number}.py'
        file.write_text(SNIPPETS[number])
        cfg = Config.fromfile(file)
        for task in cfg.model.tasks.values():
            if task and 'queue_len' in task:
                task.queue_len = 16
        hub = MessageHub.get_current_instance()
        hub.update_info('iter', 5000)
        hub.update_info('max_iters', 10000)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(cfg.model)
        model.train()
        losses = model.loss(VIEWS, None)
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in model.parameters()
                   if p.requires_grad)
        hub.update_info('iter', 0)
        return cfg, model, losses

    return run


def test_there_are_three():
    assert len(SNIPPETS) == 3


def test_weighing_and_warming_up(experiment):
    cfg, model, losses = experiment(0)
    assert model.tasks['densecl'].warmup_iters == 5000
    assert model.balancer.weights == dict(densecl=2.)
    # What was not named is inherited.
    assert model.tasks['densecl'].loss_lambda == 0.5
    assert cfg.train_cfg.max_epochs == 200
    assert losses['densecl.loss_dense'] > 0


def test_adding_byol(experiment):
    _, model, losses = experiment(1)
    assert set(model.tasks) == {'moco', 'densecl', 'byol'}
    assert list(model.momentum['ema0'].tasks) == ['moco', 'densecl']
    assert list(model.momentum['ema1'].tasks) == ['byol']
    assert model.momentum['ema1'].schedule.start == 0.01
    assert torch.isfinite(losses['byol.loss'])


def test_another_trunk_and_folder(experiment):
    cfg, model, losses = experiment(2)
    assert model.backbone.depth == 101
    assert set(losses) == {'densecl.loss_single', 'densecl.loss_dense'}
    assert cfg.train_dataloader.dataset.data_root == 'data/my_images'
    assert cfg.train_dataloader.dataset.type == 'mmmultissl.ImageFolder'
