# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every shipped pretraining and VOC07 config builds, by path and by name.

The detection configs have their own file, under mmdet's scope, and so have
those of binaural sound and those with stages.
"""
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, Registry, root

import mmmultissl  # noqa: F401

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = [
    str(path.relative_to(CONFIGS)) for folder in ('multissl', 'demo', 'voc07')
    for path in sorted((CONFIGS / folder).glob('*.py'))
    if not path.name.startswith(
        ('faster-rcnn', 'binaural', 'incremental'))
]
# `package::name` needs a folder in the name.
WAYS = [(name, how) for name in NAMES for how in ('path', 'package')
        ] + [(path.name, 'path') for path in CONFIGS.glob('*.py')]


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def read_config(name, how, tmp_path):
    if how == 'path':
        return Config.fromfile(CONFIGS / name)
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmmultissl::{name}'\n")
    return Config.fromfile(child)


@pytest.mark.parametrize('name, how', WAYS)
def test_config_builds(name, how, tmp_path):
    cfg = read_config(name, how, tmp_path)
    assert cfg.default_scope == 'mmpretrain'
    assert cfg.runner_type == 'mmmultissl.StrictRunner'
    if 'tasks' in cfg.model:
        # What a task is does not depend on the length of its queue.
        for task in cfg.model.tasks.values():
            if task is not None:
                task.queue_len = 8
    model = MODELS.build(cfg.model)
    backbone = model.backbone
    assert type(backbone).__module__.startswith('mmpretrain.')
    assert backbone.depth == (18 if 'resnet18' in name or 'demo' in name
                              else 50)
    if name.startswith('voc07'):
        return
    stem = Path(name).stem
    alone = stem.split('_')[0]
    assert set(model.tasks) == ({'moco', 'densecl'}
                                if alone == 'multissl' else {alone})
    sync = 'syncbn' in stem
    assert model.shuffle_bn is not sync
    assert type(backbone.norm1).__name__ == (
        'SyncBatchNorm' if sync else
        'GroupNorm' if name.startswith('demo') else 'BatchNorm2d')
    if 'densecl' in model.tasks:
        assert model.tasks['densecl'].warmup_iters > 0


KINDS = [
    value for value in vars(root).values() if isinstance(value, Registry)
]


def types_in(node, path=''):
    """Every type of a config with the scope that inheritance gave it."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield path, node.get('_scope_'), node['type']
        for key, value in node.items():
            yield from types_in(value, f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from types_in(value, f'{path}[{i}]')


@pytest.mark.parametrize('name, how', WAYS)
def test_every_type_is_known(name, how, tmp_path):
    cfg = read_config(name, how, tmp_path).to_dict()
    found = list(types_in(cfg))
    assert len(found) > 10
    for path, scope, kind in found:
        if kind == 'default_collate' or path.endswith('.optimizer'):
            continue  # a function of mmengine; a class of torch
        assert is_known(kind, scope or 'mmpretrain'), f'{path}: {kind}'


def is_known(kind, scope):
    for registry in KINDS:
        with registry.switch_scope_and_registry(scope) as scoped:
            if scoped.get(kind) is not None:
                return True
    return False


def test_an_unknown_type_would_be_found():
    assert is_known('mmmultissl.PassSampler', 'mmpretrain')
    assert not is_known('mmmultissl.PasSampler', 'mmpretrain')


@pytest.mark.parametrize(
    'name', [n for n in NAMES if n.startswith('multissl')])
def test_learning_rate_belongs_to_the_batch_in_the_name(name):
    processes, batch = map(int, re.search(r'_(\d+)xb(\d+)-', name).groups())
    cfg = Config.fromfile(CONFIGS / name)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == processes * batch


def test_users_entry_is_the_imagenet_config():
    short = Config.fromfile(CONFIGS / 'multissl_densecl_r50.py')
    name = 'multissl_moco-densecl_resnet50_8xb32-coslr-200e_in1k.py'
    assert short.to_dict() == Config.fromfile(CONFIGS / 'multissl' /
                                              name).to_dict()
    # MoCo v2's published setting (arXiv:2003.04297; DenseCL uses the same).
    assert short.optim_wrapper.optimizer.lr == 0.03
    assert short.optim_wrapper.optimizer.weight_decay == 1e-4
    assert short.optim_wrapper.optimizer.momentum == 0.9
    assert short.train_cfg.max_epochs == 200
    assert short.train_dataloader.batch_size == 32
    for task in short.model.tasks.values():
        assert task.queue_len == 65536
        assert task.momentum == 0.001
        assert task.loss.temperature == 0.2


def test_views_are_mmpretrains_own():
    ours = Config.fromfile(CONFIGS / 'multissl_densecl_r50.py')
    file = CONFIGS / '_base_/datasets/imagenet_two_views.py'
    assert "_base_ = 'mmpretrain::" in file.read_text()
    # By other names; test_views_equal_mmpretrain.py compares the rest.
    crop = ours.train_dataloader.dataset.pipeline[1].transforms[0][0]
    assert crop.type == 'mmmultissl.RandomResizedCrop' and crop.scale == 224


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.py')), ids=lambda path: path.name)
def test_configs_are_short(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    # Lists of rows and evaluations are longer.
    assert len(lines) <= (80 if 'compare' in path.parts else 60)
