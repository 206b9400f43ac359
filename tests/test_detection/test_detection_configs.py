# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every detection config builds, and a small one trains and evaluates."""
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, DefaultScope
from PIL import Image
from torch import nn

import mmmultissl.engine  # noqa: F401

pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
mmdet = pytest.importorskip('mmdet')

FOLDER = Path(__file__).parents[2] / 'configs' / 'detection'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))


def read_config(name, how, tmp_path):
    if how == 'path':
        return Config.fromfile(FOLDER / name)
    child = tmp_path / f'child_{name}'
    child.write_text(f"_base_ = 'mmmultissl::detection/{name}'\n")
    return Config.fromfile(child)


@pytest.fixture
def detection_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.mark.parametrize('how', ['path', 'package'])
@pytest.mark.parametrize('name', NAMES)
def test_config_builds_as_self_supervised_backbones_need(
        name, how, tmp_path, detection_scope):
    cfg = read_config(name, how, tmp_path)
    assert cfg.runner_type == 'mmmultissl.StrictRunner'
    assert cfg.default_scope == 'mmdet'
    assert cfg.checkpoint is None
    model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith('mmdet.')
    assert type(model).__name__ == dict(
        faster='FasterRCNN', mask='MaskRCNN')[name.split('-')[0]]
    backbone = model.backbone
    assert type(backbone).__module__.startswith('mmdet.')
    assert f'_r{backbone.depth}_' in name
    assert backbone.init_cfg['type'] == 'Pretrained'
    assert backbone.init_cfg['checkpoint'] is None
    assert backbone.init_cfg['prefix'] == 'backbone.'
    # Nothing frozen, statistics updated, in the pyramid as well.
    model.train()
    assert backbone.frozen_stages == -1
    assert all(weight.requires_grad for weight in backbone.parameters())
    norms = [module for module in model.modules()
             if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert all(norm.training for norm in norms)
    assert all(hasattr(conv, 'bn') for conv in model.neck.lateral_convs)
    # Pixels as mmpretrain's pretraining has them: RGB, ImageNet's statistics.
    pixels = model.data_preprocessor
    assert pixels._channel_conversion
    assert pixels.mean.flatten().tolist() == pytest.approx(
        [123.675, 116.28, 103.53])
    assert pixels.std.flatten().tolist() == pytest.approx(
        [58.395, 57.12, 57.375])


@pytest.mark.parametrize('name', NAMES)
def test_one_variable_moves_the_data(name, monkeypatch):
    variable = 'VOC_ROOT' if 'voc' in name else 'COCO_ROOT'
    monkeypatch.setenv(variable, 'elsewhere/root')
    cfg = Config.fromfile(FOLDER / name)
    train = cfg.train_dataloader.dataset
    parts = train.get('datasets', [train])
    parts += [cfg.val_dataloader.dataset, cfg.test_dataloader.dataset]
    assert {part.data_root for part in parts} == {'elsewhere/root/'}
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        if 'ann_file' in evaluator:
            assert evaluator.ann_file.startswith('elsewhere/root/annotations/')


@pytest.mark.parametrize('name', NAMES)
def test_schedule_ends_with_the_training(name):
    cfg = Config.fromfile(FOLDER / name)
    decay = cfg.param_scheduler[-1]
    length = cfg.train_cfg.get('max_iters') or cfg.train_cfg['max_epochs']
    assert decay.end == length
    assert all(0 < step < length for step in decay.milestones)
    by_epoch = 'max_epochs' in cfg.train_cfg
    assert decay.by_epoch == by_epoch
    assert cfg.log_processor.by_epoch == by_epoch
    assert cfg.default_hooks.checkpoint.get('by_epoch', True) == by_epoch
    iterations = name.split('_')[-2].split('-')[-1]
    if iterations.endswith('k'):
        assert length == 1000 * int(iterations[:-1])


# A run on made images


def write_coco(root, images=4, size=64):
    """Write bright squares on noise, with boxes and polygons."""
    from mmdet.datasets import CocoDataset
    rng = np.random.default_rng(0)
    categories = [dict(id=number, name=name) for number, name in enumerate(
        CocoDataset.METAINFO['classes'], start=1)]
    for split in ('train2017', 'val2017'):
        (root / split).mkdir(parents=True)
        described, annotations = [], []
        for number in range(1, images + 1):
            pixels = rng.integers(0, 100, (size, size, 3), dtype=np.uint8)
            x, y = (int(v) for v in rng.integers(0, size // 2, 2))
            side = size // 2
            pixels[y:y + side, x:x + side] = 255
            name = f'{number:012d}.jpg'
            Image.fromarray(pixels).save(root / split / name)
            described.append(
                dict(id=number, file_name=name, height=size, width=size))
            corners = [x, y, x + side, y, x + side, y + side, x, y + side]
            annotations.append(
                dict(id=number, image_id=number, category_id=1, iscrowd=0,
                     bbox=[x, y, side, side], area=side * side,
                     segmentation=[corners]))
        (root / 'annotations').mkdir(exist_ok=True)
        (root / f'annotations/instances_{split}.json').write_text(
            json.dumps(dict(images=described, annotations=annotations,
                            categories=categories)))


def pretrained_resnet18(path):
    """Write what a pretraining run leaves: an mmpretrain ResNet and more."""
    from mmpretrain.models import ResNet
    source = ResNet(depth=18)
    source.init_weights()
    for norm in source.modules():  # unlike what a fresh model has
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.9, 1.1)
    weights = {f'backbone.{k}': v for k, v in source.state_dict().items()}
    weights['tasks.moco.queue'] = torch.rand(2, 2)
    torch.save(dict(state_dict=weights), path)
    return source


def small_config(name, tmp_path, monkeypatch, **options):
    monkeypatch.setenv('COCO_ROOT', str(tmp_path / 'coco'))
    cfg = read_config(name, 'package', tmp_path)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'detection_{os.urandom(4).hex()}'
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for loader in loaders:
        cfg[loader].update(
            num_workers=0, persistent_workers=False, batch_size=2)
    for loader in loaders[:2]:
        for step in cfg[loader].dataset.pipeline:
            if step.type == 'Resize':
                step.scale = (64, 64)
    cfg.merge_from_dict({
        'train_cfg.max_iters': 2,
        'train_cfg.val_interval': 2,
        # Every box is kept, so that the metric has something to measure.
        'model.test_cfg.rcnn.score_thr': 0.0,
        'model.test_cfg.rcnn.max_per_img': 5,
        'model.test_cfg.rpn.max_per_img': 20,
        'model.train_cfg.rpn_proposal.max_per_img': 20,
        'model.train_cfg.rcnn.sampler.num': 16,
        'model.roi_head.bbox_head.fc_out_channels': 32,
        **options
    })
    return cfg


def test_train_evaluate_and_resume(tmp_path, monkeypatch):
    write_coco(tmp_path / 'coco')
    source = pretrained_resnet18(tmp_path / 'pretrained.pth')
    name = 'faster-rcnn_r18_fpn_2k_coco-320px.py'
    cfg = small_config(
        name, tmp_path, monkeypatch, checkpoint=str(
            tmp_path / 'pretrained.pth'))
    runner = RUNNERS.build(cfg)
    initial = {}
    real = runner.load_or_resume

    def note():
        initial.update({key: value.clone() for key, value in
                        runner.model.backbone.state_dict().items()})
        real()

    runner.load_or_resume = note
    runner.train()
    # Every tensor of the backbone is the pretrained one, and was trained.
    assert set(initial) == {
        key for key in source.state_dict() if not key.startswith('fc.')}
    for key, value in source.state_dict().items():
        assert torch.equal(initial[key], value), key
    trained = runner.model.backbone.state_dict()
    assert not torch.equal(trained['conv1.weight'], initial['conv1.weight'])
    assert not torch.equal(trained['bn1.running_mean'],
                           initial['bn1.running_mean'])
    hub = runner.message_hub
    losses = hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and np.isfinite(losses).all()
    score = hub.get_scalar('val/coco/bbox_mAP').current()
    assert 0 <= score <= 1

    saved = torch.load(tmp_path / 'run/iter_2.pth', weights_only=True)
    assert saved['meta']['iter'] == 2
    again = small_config(name, tmp_path, monkeypatch, **{
        'checkpoint': str(tmp_path / 'pretrained.pth'),
        'train_cfg.max_iters': 3})
    again.resume = True
    again.val_cfg = again.val_dataloader = again.val_evaluator = None
    runner = RUNNERS.build(again)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3


def test_a_checkpoint_is_required_and_must_fit(tmp_path, monkeypatch):
    write_coco(tmp_path / 'coco')
    pretrained_resnet18(tmp_path / 'pretrained.pth')
    name = 'mask-rcnn_r18_fpn_2k_coco-320px.py'
    runner = RUNNERS.build(small_config(name, tmp_path, monkeypatch))
    with pytest.raises(ValueError, match="backbone is to start .* checkpoint"):
        runner.train()
    content = torch.load(tmp_path / 'pretrained.pth', weights_only=True)
    weights = content['state_dict']
    weights['backbone.stem.weight'] = weights.pop('backbone.conv1.weight')
    torch.save(content, tmp_path / 'renamed.pth')
    runner = RUNNERS.build(
        small_config(name, tmp_path, monkeypatch, **{
            'model.backbone.init_cfg.checkpoint':
            str(tmp_path / 'renamed.pth')}))
    with pytest.raises(RuntimeError, match='1 not in the file: conv1.weight'):
        runner.train()


@pytest.mark.parametrize('depth', [18, 50])
def test_mmpretrain_fills_mmdet(tmp_path, depth):
    from mmdet.models import ResNet as Target
    from mmpretrain.models import ResNet as Source
    source = Source(depth=depth)
    source.init_weights()
    path = str(tmp_path / 'pretrained.pth')
    torch.save(
        dict(state_dict={f'backbone.{key}': value for key, value in
                         source.state_dict().items()}), path)
    target = Target(
        depth=depth,
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    mmmultissl.engine.checkpoint.check_pretrained(target)
    target.init_weights()
    mine, theirs = target.state_dict(), source.state_dict()
    assert set(mine) == set(theirs)
    for key, value in theirs.items():
        assert torch.equal(mine[key], value), key


def test_instances_without_outline_are_dropped():
    from mmmultissl.datasets import DropInstancesWithoutMask
    with_mask = dict(bbox=[0, 0, 1, 1], mask=[[0, 0, 1, 1, 0, 1]])
    results = DropInstancesWithoutMask()(
        dict(instances=[dict(bbox=[0, 0, 1, 1]), with_mask]))
    assert results['instances'] == [with_mask]
    cfg = Config.fromfile(FOLDER / 'mask-rcnn_r18_fpn_2k_coco-320px.py')
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds.index('mmmultissl.DropInstancesWithoutMask') < kinds.index(
        'LoadAnnotations')


def test_missing_data_say_which_variable_moves_them(monkeypatch, tmp_path):
    monkeypatch.setenv('VOC_ROOT', str(tmp_path / 'nowhere'))
    cfg = Config.fromfile(FOLDER / 'faster-rcnn_r18_fpn_2k_voc07-160px.py')
    from mmmultissl.engine.runner import StrictRunner
    with DefaultScope.overwrite_default_scope('mmdet'):
        with pytest.raises(FileNotFoundError, match='COCO_ROOT and VOC_ROOT'):
            StrictRunner.build_dataloader(cfg.train_dataloader)
