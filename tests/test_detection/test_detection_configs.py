# Copyright (c) mmmultissl contributors. All rights reserved.
"""Every detection config says what its name and the docs say, and builds."""
import copy
import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from torch import nn

import mmmultissl.engine  # noqa: F401

pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
pytest.importorskip('mmdet')

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'configs' / 'detection'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
DETECTORS = {
    'faster-rcnn': 'FasterRCNN',
    'mask-rcnn': 'MaskRCNN',
    'retinanet': 'RetinaNet'
}
# Iterations, and where the learning rate falls.
SCHEDULES = {
    '12k': (12000, [9000, 11000]),
    '1x': (90000, [60000, 80000]),
    '2x': (180000, [120000, 160000]),
    '24k': (24000, [18000, 22000]),
    '9k': (9000, [6000, 8000]),
    '2k': (2000, [1400, 1800])
}


@lru_cache(maxsize=None)
def _read(name):
    return Config.fromfile(FOLDER / name)


def shipped(name):
    """Read a config by path; a copy, for building a detector changes it.

    Inheritance by the package's name is what test_detection_runs.py uses.
    """
    return copy.deepcopy(_read(name))


@pytest.fixture(autouse=True)
def detection_scope(monkeypatch):
    for variable in ('BACKBONE', 'COCO_ROOT', 'VOC_ROOT', 'COCO_FOLD'):
        monkeypatch.delenv(variable, raising=False)
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.mark.parametrize('name', NAMES)
def test_config_builds_as_self_supervised_backbones_need(name):
    cfg = shipped(name)
    assert cfg.runner_type == 'mmmultissl.StrictRunner'
    assert cfg.default_scope == 'mmdet'
    assert cfg.checkpoint is None
    with torch.device('meta'):  # the architecture alone
        model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith('mmdet.')
    assert type(model).__name__ == DETECTORS[name.split('_')[0]]
    backbone = model.backbone
    assert type(backbone).__module__.startswith('mmdet.')
    assert backbone.depth == int(re.search(r'_r(\d+)', name).group(1))
    starts = [backbone]
    if '-c4_' in name:
        starts.append(model.roi_head.shared_head.res_layer)
    for part in starts:
        assert part.init_cfg['type'] == 'Pretrained'
        assert part.init_cfg['checkpoint'] is None
        assert part.init_cfg['prefix'] == 'backbone.'
    # Nothing frozen, statistics updated, in the new parts as well.
    model.train()
    assert all(weight.requires_grad for weight in model.parameters())
    norms = [module for module in model.modules()
             if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert all(norm.training for norm in norms)
    if '-c4_' not in name:
        assert all(hasattr(conv, 'bn') for conv in model.neck.lateral_convs)
    if name.startswith('mask') and '-c4_' not in name:
        assert all(hasattr(conv, 'bn') for conv in model.roi_head.mask_head
                   .convs)
    # Strides and pixels as mmpretrain's pretraining has them: RGB, ImageNet's
    # statistics.
    assert {block.conv2_stride for block in backbone.modules()
            if hasattr(block, 'conv2_stride')} <= {1, 2}
    assert all(block.conv1_stride == 1 for block in model.modules()
               if hasattr(block, 'conv1_stride'))
    pixels = cfg.model.data_preprocessor
    assert pixels.bgr_to_rgb
    assert pixels.mean == [123.675, 116.28, 103.53]
    assert pixels.std == [58.395, 57.12, 57.375]


@pytest.mark.parametrize('name', NAMES)
def test_schedule_is_the_one_of_the_name(name):
    cfg = shipped(name)
    length, steps = SCHEDULES[re.search(r'[_-](\d+[kx])_', name).group(1)]
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert cfg.train_cfg.max_iters == length
    assert cfg.train_cfg.val_interval <= length
    warmup, decay = cfg.param_scheduler
    assert not decay.by_epoch
    assert (decay.end, decay.milestones) == (length, steps)
    assert warmup.end == (1000 if 'syncbn' in name and 'coco' in name else 100)
    assert cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    assert not cfg.log_processor.by_epoch
    assert not cfg.default_hooks.checkpoint.by_epoch
    small = '_2k_' in name
    assert cfg.optim_wrapper.optimizer.lr == (
        0.01 if small or 'retinanet' in name else 0.02)
    assert cfg.auto_scale_lr.base_batch_size == (8 if small else 16)
    # On eight GPUs, or one small machine.
    assert cfg.train_dataloader.batch_size == (8 if small else 2)


@pytest.mark.parametrize('name', NAMES)
def test_image_sizes(name):
    cfg = shipped(name)
    train = cfg.train_dataloader.dataset
    pipelines = [part.pipeline for part in train.get('datasets', [train])]
    small = re.search(r'-(\d+)px', name)
    for pipeline in pipelines:
        resize = [step for step in pipeline if 'Resize' in step.type]
        assert len(resize) == 1 and resize[0].keep_ratio
        if small:
            side = int(small.group(1))
            assert resize[0].scale == (2 * side, side)
        else:
            shortest = 480 if 'voc' in name else 640
            assert resize[0].scales == [
                (1333, side) for side in range(shortest, 801, 32)
            ]
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        resize = [step for step in loader.dataset.pipeline
                  if 'Resize' in step.type]
        assert [step.scale for step in resize] == [
            (2 * side, side) if small else (1333, 800)]


@pytest.mark.parametrize('name', NAMES)
def test_images_boxes_and_masks_are_resized_by_mmdet(name, tmp_path):
    """mmcv's Resize, which inheritance could find, knows no boxes of mmdet."""
    from mmdet.datasets.transforms import Resize
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmmultissl::detection/{name}'\n")
    for cfg in (shipped(name), Config.fromfile(child)):
        train = cfg.train_dataloader.dataset
        for part in [*train.get('datasets', [train]),
                     cfg.val_dataloader.dataset]:
            resize, = (step for step in part.pipeline
                       if 'Resize' in step.type)
            built = TRANSFORMS.build(resize)
            assert type(getattr(built, 'resize', built)) is Resize


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


def test_voc_is_measured_as_moco_does():
    cfg = shipped('faster-rcnn_r50-c4_syncbn-24k_voc0712.py')
    parts = cfg.train_dataloader.dataset.datasets
    assert [part.ann_file for part in parts] == [
        f'VOC{year}/ImageSets/Main/trainval.txt' for year in (2007, 2012)]
    assert cfg.val_dataloader.dataset.ann_file == (
        'VOC2007/ImageSets/Main/test.txt')
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.iou_thrs == pytest.approx(
            [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
        # The name of a score in mmdet.
        assert [int(thr * 100) for thr in evaluator.iou_thrs] == list(
            range(50, 100, 5))
        assert evaluator.eval_mode == '11points'


@pytest.mark.parametrize('percent', [1, 2, 5, 10])
@pytest.mark.parametrize('detector', ['mask-rcnn', 'retinanet'])
def test_shares_differ_in_the_labels_alone(detector, percent, monkeypatch):
    whole = f'{detector}_r50_fpn_syncbn-12k_coco'
    monkeypatch.setenv('COCO_FOLD', '3')
    cfg = Config.fromfile(FOLDER / f'{whole}-{percent}pct.py').to_dict()
    dataset = cfg['train_dataloader']['dataset']
    assert dataset['ann_file'] == (
        f'semi_anns/instances_train2017.3@{percent}.json')
    dataset['ann_file'] = 'annotations/instances_train2017.json'
    assert cfg == shipped(f'{whole}.py').to_dict()


def test_small_machines_have_small_detectors():
    for name in (name for name in NAMES if '_2k_' in name):
        model = shipped(name).model
        assert model.neck.in_channels == [64, 128, 256, 512]
        assert model.rpn_head.anchor_generator.scales == [4]
        assert model.roi_head.bbox_head.fc_out_channels == 256
        assert model.roi_head.bbox_head.num_classes == (
            20 if 'voc' in name else 80)
        assert model.train_cfg.rpn_proposal.max_per_img == 500
        assert model.train_cfg.rcnn.sampler.num == 128
        assert model.test_cfg.rpn.max_per_img == 300


def test_docs_list_every_config():
    text = (ROOT / 'docs' / 'detection.md').read_text()
    missing = [name for name in NAMES if f'`{name[:-3]}`' not in text]
    assert not missing
    for name in re.findall(r'`((?:mask|faster)-rcnn_\w[^`]*|retinanet_[^`]*)`',
                           text):
        assert f'{name}.py' in NAMES


def test_instances_without_outline_are_dropped():
    from mmmultissl.datasets import DropInstancesWithoutMask
    with_mask = dict(bbox=[0, 0, 1, 1], mask=[[0, 0, 1, 1, 0, 1]])
    results = DropInstancesWithoutMask()(
        dict(instances=[dict(bbox=[0, 0, 1, 1]), with_mask]))
    assert results['instances'] == [with_mask]
    cfg = shipped('mask-rcnn_r18_fpn_2k_coco-320px.py')
    kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
    assert kinds.index('mmmultissl.DropInstancesWithoutMask') < kinds.index(
        'LoadAnnotations')


def test_missing_data_say_which_variable_moves_them(monkeypatch, tmp_path):
    monkeypatch.setenv('VOC_ROOT', str(tmp_path / 'nowhere'))
    cfg = Config.fromfile(FOLDER / 'faster-rcnn_r18_fpn_2k_voc07-160px.py')
    from mmmultissl.engine.runner import StrictRunner
    with pytest.raises(FileNotFoundError, match='COCO_ROOT and VOC_ROOT'):
        StrictRunner.build_dataloader(cfg.train_dataloader)
