# Copyright (c) mmmultissl contributors. All rights reserved.
"""The command and the test loop, end to end on a made VOC folder."""
import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.models import ResNet

from mmmultissl.evaluation.svm.report import Progress

from .tiny_voc import make_tiny_voc

ROOT = Path(__file__).resolve().parents[2]
R18 = str(ROOT / 'configs/voc07/svm_resnet18_128px.py')

PRETRAINING = '''
default_scope = 'mmpretrain'
model = dict(
    type='MoCo',
    backbone=dict(type='ResNet', depth=18, base_channels=8,
                  stem_channels=8,
                  init_cfg=dict(type='Pretrained', checkpoint='gone.pth')),
    data_preprocessor=dict(type='SelfSupDataPreprocessor',
                           mean=[100, 101, 102], std=[50, 51, 52],
                           to_rgb=True))
'''


def _tool(name):
    spec = importlib.util.spec_from_file_location(
        f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def voc(tmp_path):
    return make_tiny_voc(tmp_path)


@pytest.fixture
def pretraining(tmp_path):
    path = tmp_path / 'pretraining.py'
    path.write_text(PRETRAINING)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path):
    """A pretraining checkpoint: the backbone among tasks and averages."""
    torch.manual_seed(1)
    backbone = ResNet(18, base_channels=8, stem_channels=8)
    backbone.init_weights()
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    state['momentum.backbone.conv1.weight'] = torch.zeros(3)
    state['tasks.moco.queue'] = torch.zeros(4, 8)
    path = tmp_path / 'iter_10.pth'
    torch.save(dict(state_dict=state, meta=dict(iter=10)), path)
    return str(path)


@pytest.fixture
def command(voc, tmp_path, monkeypatch):

    def run(*args, data_root=voc):
        monkeypatch.setattr(sys, 'argv', [
            'voc07_svm.py', *map(str, args), '--data-root',
            str(data_root), '--work-dir',
            str(tmp_path / 'work'), '--device', 'cpu', '--num-workers', '0',
            '--size', '32'
        ])
        _tool('voc07_svm').main()
        return json.loads((tmp_path / 'work/voc07_svm.json').read_text())

    return run


def test_command_on_a_pretraining_checkpoint(command, pretraining, checkpoint,
                                             capsys):
    result = command(pretraining, checkpoint)
    # Images that differ this plainly are told apart.
    assert result['mAP'] > 90
    assert set(result['classes']) == {'bright', 'striped'}
    assert result['left_out'] == {'unseen': 'no positive test image'}
    assert result['feature_dim'] == 64
    row = result['classes']['bright']
    assert row['test_counts'] == dict(present=8, absent=7, difficult=1)
    assert row['cost'] in result['protocol']['costs']
    assert len(row['cv_ap_per_cost']) == 19
    assert result['protocol']['solver'] == 'batched'
    assert {'torch', 'mmpretrain', 'mmmultissl'} <= set(result['versions'])
    assert result['seconds']['svm'] > 0 and result['seconds']['features'] > 0
    choices = result['choices']
    assert choices['pooling'].startswith('avg')
    assert choices['pixels'] == (
        'RGB, mean [100.0, 101.0, 102.0], std [50.0, 51.0, 52.0]')
    assert 'iter_10.pth (sha256 ' in choices['checkpoint']
    assert 'left out' in choices['difficult in the test']

    printed = capsys.readouterr().out
    before, after = printed.split('features [', 1)
    for how in choices.values():
        assert how in before
    assert 'The class unseen is left out of the mean' in before
    assert 'mAP' in after and 'over 2 of 3 classes' in after
    assert 'published VOC07' in after


def test_pixel_statistics_are_the_configs(pretraining):
    cfg = _tool('voc07_svm').evaluation_config(
        Config.fromfile(pretraining), 32)
    assert cfg.model.data_preprocessor.mean == [100, 101, 102]
    assert cfg.model.data_preprocessor.to_rgb is True
    assert 'init_cfg' not in cfg.model.backbone
    assert cfg.test_dataloader.dataset.image_size == 32


def test_command_needs_pixel_statistics(command, tmp_path):
    path = tmp_path / 'bare.py'
    path.write_text(PRETRAINING.replace('mean=', 'pad_value=0, fill='))
    with pytest.raises(ValueError, match='no data_preprocessor with mean'):
        command(path, 'random')
    path.write_text('default_scope = None')
    with pytest.raises(ValueError, match='no model.backbone'):
        command(path, 'random')


def test_random_backbone_is_seeded(command, pretraining, tmp_path):
    first = command(pretraining, 'random', '--seed', 3, '--save-features',
                    tmp_path / 'kept.npy')
    second = command(pretraining, 'random', '--seed', 3)
    other = command(pretraining, 'random', '--seed', 4)
    assert 'seed 3' in first['choices']['checkpoint']
    assert first['classes'] == second['classes']
    assert first['classes'] != other['classes']
    # Kept features give the same without a backbone, by the other solver too.
    again = command(pretraining, 'random', '--features', tmp_path / 'kept.npy')
    assert first['classes'] == again['classes']
    peer = command(pretraining, 'random', '--features', tmp_path / 'kept.npy',
                   '--solver', 'sklearn')
    assert peer['protocol']['solver'] == 'sklearn'
    assert peer['mAP'] == pytest.approx(first['mAP'], abs=0.1)


def test_checkpoint_that_does_not_fit(command, pretraining, checkpoint,
                                      tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    state = content['state_dict']
    del state['backbone.layer2.0.conv1.weight']
    state['backbone.bn1.weight'] = torch.ones(9)
    broken = tmp_path / 'broken.pth'
    torch.save(content, broken)
    with pytest.raises(RuntimeError) as caught:
        command(pretraining, broken)
    assert 'layer2.0.conv1.weight' in str(caught.value)
    assert 'bn1.weight' in str(caught.value)
    with pytest.raises(FileNotFoundError, match='no checkpoint "nowhere.pth"'):
        command(pretraining, 'nowhere.pth')


def test_wrong_data_is_one_sentence(command, pretraining, voc, tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a VOC data set; did'):
        command(pretraining, 'random', data_root=tmp_path)
    (voc / 'JPEGImages/000030.jpg').unlink()
    with pytest.raises(
            FileNotFoundError, match='1 of 40 images.*000030.jpg'):
        command(pretraining, 'random')


def test_other_stage_and_pool(command, pretraining):
    result = command(pretraining, 'random', '--stage', 1, '--pool', '2x2',
                     '--costs', 1, 0.1)
    assert result['feature_dim'] == 4 * 16
    assert result['protocol']['costs'] == [1, 0.1]


def _test_tool(voc, tmp_path, checkpoint, *options):
    out = tmp_path / 'metrics.json'
    _tool('test').main([
        R18, checkpoint, '--work-dir',
        str(tmp_path / 'run'), '--out',
        str(out), '--out-item', 'metrics', '--cfg-options',
        f'test_dataloader.dataset.data_root={voc}',
        'test_dataloader.dataset.image_size=32',
        'test_dataloader.num_workers=0', 'model.backbone.base_channels=8',
        'model.backbone.stem_channels=8', *options
    ])
    result = json.loads((tmp_path / 'run/voc07_svm.json').read_text())
    return json.loads(out.read_text()), result


def test_evaluation_of_a_config(voc, tmp_path, checkpoint):
    metrics, result = _test_tool(voc, tmp_path, checkpoint,
                                 'test_cfg.protocol.costs=[1,0.01]')
    assert metrics['voc07_svm/mAP'] == result['mAP'] > 90
    assert metrics['voc07_svm/AP/striped'] == result['classes']['striped'][
        'ap']
    assert 'voc07_svm/AP/unseen' not in metrics
    assert result['protocol']['costs'] == [1, 0.01]
    assert result['choices']['pixels'].startswith('RGB, mean [123.675')


def test_evaluation_of_a_config_is_strict(voc, tmp_path, checkpoint):
    with pytest.raises(RuntimeError, match='layer1.0.conv1.weight'):
        _test_tool(voc, tmp_path, checkpoint, 'model.backbone.depth=50')
    metrics, _ = _test_tool(voc, tmp_path, 'random')
    assert metrics['voc07_svm/mAP'] > 50
    with pytest.raises(ValueError, match='leave out --amp'):
        _test_tool(voc, tmp_path, 'random', 'test_cfg.fp16=True')


def test_inherited_by_package_name(voc, tmp_path):
    path = tmp_path / 'child.py'
    path.write_text(f"""
_base_ = 'mmmultissl::voc07/svm_resnet18_128px.py'
model = dict(backbone=dict(base_channels=8, stem_channels=8))
test_dataloader = dict(
    num_workers=0, dataset=dict(data_root={str(voc)!r}, image_size=32))
test_cfg = dict(protocol=dict(costs=(1, 0.1)))
""")
    _tool('test').main(
        [str(path), 'random', '--work-dir',
         str(tmp_path / 'run')])
    result = json.loads((tmp_path / 'run/voc07_svm.json').read_text())
    assert result['protocol']['costs'] == [1, 0.1]
    assert result['feature_dim'] == 64


@pytest.mark.parametrize('name', ['multissl_densecl_r50.py'])
def test_backbone_of_a_shipped_pretraining_config(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    made = _tool('voc07_svm').evaluation_config(cfg)
    assert made.model.backbone.depth == 50
    assert made.test_cfg.pool == '2x2'
    assert made.model.data_preprocessor.to_rgb is True
    assert made.model.data_preprocessor.mean == [123.675, 116.28, 103.53]


def test_shipped_configs():
    r50 = Config.fromfile(ROOT / 'configs/voc07/svm_resnet50.py')
    assert r50.runner_type == 'mmmultissl.StrictRunner'
    assert r50.model.backbone.depth == 50
    assert r50.test_cfg.pool == '2x2'
    assert r50.test_dataloader.dataset.image_size == 224
    r18 = Config.fromfile(R18)
    assert r18.model.backbone.depth == 18
    assert r18.test_cfg.pool == 'avg'
    assert r18.test_dataloader.dataset.image_size == 128


def test_progress_ends_complete():
    file = io.StringIO()
    progress = Progress('work', 3., file)
    for _ in range(3):
        progress(1.)
    progress(1e-9)
    lines = file.getvalue().splitlines()
    assert len(lines) == 1 and '100%, took' in lines[0]
