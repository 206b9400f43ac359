# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every detection config trains two steps from a checkpoint and evaluates.

On a ResNet-18, which the variable BACKBONE puts into all of them, and images
of 64 pixels.
"""
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, DefaultScope

import mmmultissl.engine  # noqa: F401

from .made_data import pretrained_resnet, write_coco, write_voc

pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
pytest.importorskip('mmdet')

FOLDER = Path(__file__).parents[2] / 'configs' / 'detection'
# The others run with --all.
QUICK = [
    'mask-rcnn_r50-c4_syncbn-12k_coco.py',
    'retinanet_r50_fpn_syncbn-12k_coco-10pct.py',
    'faster-rcnn_r18_fpn_2k_voc07-160px.py',
]
NAMES = [
    path.name if path.name in QUICK else pytest.param(
        path.name, marks=pytest.mark.slow)
    for path in sorted(FOLDER.glob('*.py'))
]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Make the data and the checkpoint once; return folder and network."""
    folder = tmp_path_factory.mktemp('detection')
    write_coco(folder / 'coco')
    write_voc(folder / 'voc')
    from tools.coco_subset import main
    assert main([str(folder / 'coco'), '--percent', '1', '2', '5', '10',
                 '--folds', '2']) == 1  # 4 images have no hundredth
    # So every share is half of the images here.
    assert main([str(folder / 'coco'), '--percent', '50', '--folds', '2']) == 0
    shares = folder / 'coco/semi_anns'
    for percent in (1, 2, 5, 10):
        (shares / f'instances_train2017.2@{percent}.json').write_text(
            (shares / 'instances_train2017.2@50.json').read_text())
    return folder, pretrained_resnet(folder / 'pretrained.pth')


def tiny_config(name, made, tmp_path, monkeypatch, **options):
    """Read a config through the package's name and shrink it."""
    folder, _ = made
    for variable, value in dict(
            BACKBONE='resnet18', COCO_ROOT=folder / 'coco',
            VOC_ROOT=folder / 'voc', COCO_FOLD=2).items():
        monkeypatch.setenv(variable, str(value))
    child = tmp_path / f'child_{name}'
    child.write_text(f"_base_ = 'mmmultissl::detection/{name}'\n")
    cfg = Config.fromfile(child)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.log_level = 'ERROR'
    cfg.experiment_name = f'detection_{os.urandom(4).hex()}'
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for loader in loaders:
        cfg[loader].update(
            num_workers=0, persistent_workers=False, batch_size=2)
        dataset = cfg[loader].dataset
        for part in dataset.get('datasets', [dataset]):
            for step in part.pipeline:
                step.update({key: value for key, value in dict(
                    scale=(64, 64), scales=[(64, 64)]).items() if key in step})
    # Every box is kept, so that the metric has something to measure.
    tiny = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}
    if 'retinanet' in name:
        tiny.update({'model.test_cfg.score_thr': 0.0,
                     'model.test_cfg.max_per_img': 5})
    else:
        tiny.update({'model.test_cfg.rcnn.score_thr': 0.0,
                     'model.test_cfg.rcnn.max_per_img': 5,
                     'model.test_cfg.rpn.max_per_img': 20,
                     'model.train_cfg.rpn_proposal.max_per_img': 20,
                     'model.train_cfg.rcnn.sampler.num': 16})
        if '_fpn_' in name:
            tiny['model.roi_head.bbox_head.fc_out_channels'] = 32
    tiny.update(options)
    cfg.merge_from_dict(tiny)
    cfg.param_scheduler = []  # a warm-up would hardly move the weights
    return cfg


@pytest.mark.parametrize('name', NAMES)
def test_two_steps_from_a_checkpoint(name, made, tmp_path, monkeypatch):
    folder, source = made
    cfg = tiny_config(name, made, tmp_path, monkeypatch,
                      checkpoint=str(folder / 'pretrained.pth'))
    runner = RUNNERS.build(cfg)
    c4 = '-c4_' in name
    parts = [runner.model.backbone]
    if c4:
        parts.append(runner.model.roi_head.shared_head.res_layer)
    initial = {}
    real = runner.load_or_resume

    def note():
        for part in parts:
            initial.update({key: value.clone()
                            for key, value in part.state_dict().items()})
        real()

    runner.load_or_resume = note
    runner.train()
    # Every tensor of the network is the pretrained one, and was trained.
    assert set(initial) == {
        key for key in source.state_dict() if not key.startswith('fc.')}
    for key, value in source.state_dict().items():
        assert torch.equal(initial[key], value), key
    trained = {key: value for part in parts
               for key, value in part.state_dict().items()}
    for key in ('conv1.weight', 'bn1.running_mean', 'layer4.1.conv2.weight',
                'layer4.1.bn2.running_mean'):
        assert not torch.equal(trained[key], initial[key]), key
    hub = runner.message_hub
    losses = hub.get_scalar('train/loss').data[0]
    assert len(losses) == 2 and np.isfinite(losses).all()
    scores = (['pascal_voc/mAP', 'pascal_voc/AP50'] if 'voc' in name else
              ['coco/bbox_mAP'])
    if name.startswith('mask') and '_2k_' not in name:
        scores.append('coco/segm_mAP')
    if 'voc0712' in name:
        scores += ['pascal_voc/AP75', 'pascal_voc/AP95']
    for score in scores:
        assert 0 <= hub.get_scalar(f'val/{score}').current() <= 1
    if 'pct' in name:
        assert len(runner.train_dataloader.dataset) == 2


@pytest.mark.slow
def test_resume(made, tmp_path, monkeypatch):
    name = 'faster-rcnn_r18_fpn_2k_coco-320px.py'
    options = dict(checkpoint=str(made[0] / 'pretrained.pth'))
    cfg = tiny_config(name, made, tmp_path, monkeypatch, **options)
    RUNNERS.build(cfg).train()
    saved = torch.load(tmp_path / 'run/iter_2.pth', weights_only=True)
    assert saved['meta']['iter'] == 2
    again = tiny_config(name, made, tmp_path, monkeypatch, **options,
                        **{'train_cfg.max_iters': 3})
    again.resume = True
    again.val_cfg = again.val_dataloader = again.val_evaluator = None
    runner = RUNNERS.build(again)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3


def test_a_checkpoint_is_required_and_must_fit(made, tmp_path, monkeypatch):
    name = 'mask-rcnn_r50-c4_syncbn-12k_coco.py'
    runner = RUNNERS.build(tiny_config(name, made, tmp_path, monkeypatch))
    with pytest.raises(ValueError, match="backbone is to start .* checkpoint"):
        runner.train()
    content = torch.load(made[0] / 'pretrained.pth', weights_only=True)
    for old, new, where in (
            ('conv1.weight', 'stem.weight', 'backbone'),
            # What the head of the regions lacks is an error as well.
            ('layer4.1.bn2.bias', 'layer5.bias',
             'roi_head.shared_head.res_layer')):
        weights = dict(content['state_dict'])
        weights[f'backbone.{new}'] = weights.pop(f'backbone.{old}')
        path = tmp_path / f'{new}.pth'
        torch.save(dict(state_dict=weights), path)
        runner = RUNNERS.build(tiny_config(
            name, made, tmp_path, monkeypatch, checkpoint=str(path)))
        with pytest.raises(
                RuntimeError,
                match=rf'does not fit {where}\.\n  1 not in the file: {old}'):
            runner.train()


@pytest.mark.parametrize('depth', [18, 50])
def test_c4_computes_what_was_pretrained(tmp_path, depth, monkeypatch):
    monkeypatch.setenv('BACKBONE', f'resnet{depth}')
    path = tmp_path / 'pretrained.pth'
    source = pretrained_resnet(path, depth)
    source.eval()
    source.out_indices = (2, 3)
    cfg = Config.fromfile(FOLDER / 'faster-rcnn_r50-c4_syncbn-24k_voc0712.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model)
    mmmultissl.engine.checkpoint.check_pretrained(model, str(path))
    model.eval()
    head = model.roi_head.shared_head
    head.norm.running_mean.fill_(0.25)
    head.norm.running_var.fill_(4.)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        stage3, stage4 = source(x)
        features, = model.extract_feat(x)
        torch.testing.assert_close(features, stage3)
        torch.testing.assert_close(head.res_layer(features), stage4)
        # The extra norm, in closed form.
        torch.testing.assert_close(
            head(features), (stage4 - 0.25) / (4. + 1e-5)**0.5)


@pytest.mark.parametrize('depth', [18, 50])
def test_mmpretrain_fills_mmdet(tmp_path, depth):
    from mmdet.models import ResNet as Target
    path = str(tmp_path / 'pretrained.pth')
    source = pretrained_resnet(path, depth)
    target = Target(
        depth=depth,
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))
    mmmultissl.engine.checkpoint.check_pretrained(target)
    target.init_weights()
    mine, theirs = target.state_dict(), source.state_dict()
    assert set(mine) == set(theirs)
    for key, value in theirs.items():
        assert torch.equal(mine[key], value), key
