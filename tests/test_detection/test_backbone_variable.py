# Copyright (c) mmmultissl contributors. All rights reserved.
"""BACKBONE changes pretraining, VOC07 and detection, with all widths."""
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmmultissl.engine  # noqa: F401
from mmmultissl.utils.command_line import apply_common_arguments, read_config

CONFIGS = Path(__file__).parents[2] / 'configs'
PRETRAINING = [
    'multissl_densecl_r50.py',
    'multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py'
]
VOC07 = [f'voc07/{path.name}' for path in sorted(
    (CONFIGS / 'voc07').glob('*.py'))]
DETECTION = [
    'detection/mask-rcnn_r50_fpn_syncbn-12k_coco.py',
    'detection/mask-rcnn_r50-c4_syncbn-12k_coco.py',
    'detection/faster-rcnn_r50-c4_syncbn-24k_voc0712.py',
    'detection/retinanet_r50_fpn_syncbn-12k_coco.py',
    'detection/mask-rcnn_r18_fpn_2k_coco-320px.py',
]
# torchvision's networks of the same names: depth and channels of the stages.
NETWORKS = dict(
    resnet34=(34, [64, 128, 256, 512]),
    resnet101=(101, [256, 512, 1024, 2048]))


def build(name, scope, tmp_path):
    """Build by path, after a look at what inheritance by name gives."""
    cfg = Config.fromfile(CONFIGS / name)
    if '/' in name:
        child = tmp_path / 'child.py'
        child.write_text(f"_base_ = 'mmmultissl::{name}'\n")
        inherited = Config.fromfile(child)
        assert inherited.model.backbone.depth == cfg.model.backbone.depth
    for task in cfg.model.get('tasks', {}).values():
        task.queue_len = 8
    with DefaultScope.overwrite_default_scope(scope):
        # mmdet builds shapes alone, which is quicker; mmpretrain does not.
        with torch.device('meta' if scope == 'mmdet' else 'cpu'):
            model = MODELS.build(cfg.model)
    return model.eval()


def images(device='cpu'):
    return torch.ones(2, 3, 64, 64, device=device)


@pytest.fixture(params=[
    'resnet34', pytest.param('resnet101', marks=pytest.mark.slow)])
def network(request, monkeypatch):
    monkeypatch.setenv('BACKBONE', request.param)
    return NETWORKS[request.param]


@pytest.mark.parametrize('name', PRETRAINING)
def test_pretraining(name, network, tmp_path):
    depth, widths = network
    model = build(name, 'mmpretrain', tmp_path)
    assert model.backbone.depth == depth
    features = model.backbone(images())
    assert features[-1].shape[1] == widths[-1]
    for task in model.tasks.values():
        for out in task.neck(features):
            assert out.shape[:2] == (2, 128)
        # MoCo's hidden layer is as wide as the features.
        assert widths[-1] in {weight.shape[0]
                              for weight in task.neck.parameters()}


@pytest.mark.parametrize('name', VOC07)
def test_voc07(name, network, tmp_path):
    depth, widths = network
    model = build(name, 'mmpretrain', tmp_path)
    assert model.backbone.depth == depth
    assert model.backbone(images())[-1].shape[1] == widths[-1]


@pytest.mark.parametrize('name', DETECTION)
def test_detection(name, network, tmp_path):
    pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
    pytest.importorskip('mmdet')
    depth, widths = network
    model = build(name, 'mmdet', tmp_path)
    assert model.backbone.depth == depth
    if '_fpn_' in name:
        outs = model.extract_feat(images('meta'))
        assert len(outs) == 5
        assert {out.shape[1] for out in outs} == {
            128 if '_r18_' in name else 256}
        return
    features, = model.extract_feat(images('meta'))
    assert features.shape == (2, widths[2], 4, 4)
    model.rpn_head((features, ))
    roi_head = model.roi_head
    assert roi_head.bbox_roi_extractor.out_channels == widths[2]
    regions = roi_head.shared_head(
        torch.empty(3, widths[2], 14, 14, device='meta'))
    assert regions.shape == (3, widths[3], 7, 7)
    scores, boxes = roi_head.bbox_head(regions)
    classes = 20 if 'voc' in name else 80
    assert scores.shape == (3, classes + 1)
    assert boxes.shape == (3, 4 * classes)
    if 'mask' in name:
        assert roi_head.mask_head(regions).shape == (3, classes, 14, 14)


@pytest.mark.parametrize('name', [PRETRAINING[0], VOC07[0], DETECTION[0]])
def test_unknown_backbone_names_the_known(name, monkeypatch):
    monkeypatch.setenv('BACKBONE', 'resnet51')
    with pytest.raises(
            ValueError, match='BACKBONE is "resnet51".*one of resnet18, res'):
        Config.fromfile(CONFIGS / name)


def test_an_option_that_would_be_ignored_is_refused():
    path = str(CONFIGS / VOC07[0])
    args = Namespace(launcher='none', work_dir='run', config=path,
                     cfg_options={'backbone.depth': 101}, no_pin_memory=False)
    with pytest.raises(ValueError, match='backbone is a variable'):
        apply_common_arguments(read_config(path), args)
