# Copyright (c) mmmultissl contributors. All rights reserved.
"""Our backbones out, loaded by the other projects' own means."""
import json
import struct
import sys

import numpy as np
import pytest
import torch
import torchvision
from mmpretrain.models import ResNet, ResNetV1d, ResNeXt
from torch import nn

from mmmultissl.engine.checkpoint import BrokenCheckpointError, save_checkpoint
from mmmultissl.weights import export, export_backbone, import_weights
from mmmultissl.weights.timm_names import from_timm, to_timm

from .published_files import randomise
from .test_import import IMAGES, config, moco_task, our_map, tool


@pytest.fixture
def checkpoint(tmp_path):
    """A pretraining checkpoint: the backbone among tasks and averages."""
    backbone = randomise(ResNet(18)).to(memory_format=torch.channels_last)
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    state['momentum.ema0.backbone.conv1.weight'] = torch.zeros(3)
    state['tasks.moco.queue.keys'] = torch.zeros(4, 8)
    path = tmp_path / 'iter_10.pth'
    save_checkpoint(dict(state_dict=state, meta=dict(iter=10)), path)
    backbone.eval()
    return str(path), backbone


@pytest.fixture
def command(tmp_path, checkpoint, capsys):
    """Run the tool, get the path of its result and what it printed."""

    def run(name, *options, cfg=None):
        target = str(tmp_path / 'out' / name)
        cfg = cfg or config(tmp_path, moco=moco_task())
        tool('export_weights').main([cfg, checkpoint[0], target, *options])
        return target, capsys.readouterr().out

    return run


def test_torchvision(command, checkpoint):
    target, said = command('r18.pth', '--format', 'torchvision')
    content = torch.load(target, weights_only=True)
    theirs = torchvision.models.resnet18()
    theirs.fc = nn.Identity()
    theirs.load_state_dict(content['state_dict'])
    with torch.no_grad():
        expected = checkpoint[1](IMAGES)[-1].mean((2, 3))
        found = theirs.eval()(IMAGES)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert all(value.is_contiguous()
               for value in content['state_dict'].values())
    about = content['meta']['exported']
    assert about['file'] == 'iter_10.pth' and about['sha256'] in said
    assert about['format'] == 'torchvision'
    assert about['feature_difference'] <= 1e-9
    assert about['backbone']['depth'] == 18
    assert 'largest relative difference' in said and '120 keys' in said


def test_mmpretrain(command, checkpoint):
    target, _ = command('r18.pth', '--format', 'mmpretrain')
    with torch.no_grad():
        assert torch.equal(our_map(target, depth=18),
                           checkpoint[1].to(
                               memory_format=torch.contiguous_format)(
                                   IMAGES)[-1])
    # What was exported comes back in.
    weights = import_weights(target).weights
    for key, value in checkpoint[1].state_dict().items():
        assert torch.equal(weights[f'backbone.{key}'], value), key


def test_safetensors_is_missing(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    with pytest.raises(ImportError, match='pip install safetensors'):
        command('r18.safetensors')
    (tmp_path / 'a.safetensors').write_bytes(b'')
    with pytest.raises(ImportError, match='pip install safetensors'):
        import_weights(str(tmp_path / 'a.safetensors'))


def test_safetensors(command, checkpoint):
    pytest.importorskip('safetensors')
    target, _ = command('r18.safetensors', '--format', 'torchvision')
    # The format itself: a length, a json header, the bytes.
    with open(target, 'rb') as file:
        length, = struct.unpack('<Q', file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    expected = checkpoint[1].state_dict()
    about = json.loads(header.pop('__metadata__')['mmmultissl'])
    assert about['exported']['file'] == 'iter_10.pth'
    assert set(header) == set(expected)
    begin, end = header['layer4.1.bn2.running_var']['data_offsets']
    assert np.frombuffer(data[begin:end], '<f4').tolist() == expected[
        'layer4.1.bn2.running_var'].tolist()
    # And back.
    found = import_weights(target)
    assert found.meta['imported']['layout'] == 'torchvision'
    for key, value in expected.items():
        assert torch.equal(found.weights[f'backbone.{key}'], value), key
    with open(target, 'r+b') as file:
        file.truncate(1000)
    with pytest.raises(BrokenCheckpointError, match='is cut off'):
        import_weights(target)


@pytest.mark.parametrize('name, settings', [
    ('resnet18', dict(depth=18)),
    ('resnet50', dict(depth=50)),
    pytest.param('wide_resnet50_2',
                 dict(depth=50, base_channels=128, expansion=2),
                 marks=pytest.mark.slow),
    ('resnet50c', dict(depth=50, deep_stem=True)),
    ('resnet50d', dict(depth=50, deep_stem=True, avg_down=True)),
    ('resnet18d', dict(depth=18, deep_stem=True, avg_down=True)),
])
def test_timm(tmp_path, name, settings):
    timm = pytest.importorskip('timm')
    backbone = randomise(ResNet(**settings))
    backbone.eval()
    weights, difference = export_backbone(backbone, 'timm')
    assert difference <= 1e-9
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    theirs = timm.create_model(
        name, num_classes=0, checkpoint_path=str(tmp_path / 'a.pth')).eval()
    with torch.no_grad():
        expected = backbone(IMAGES)[-1].mean((2, 3))
        found = theirs(IMAGES)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    # Their own files come in.
    torch.save(randomise(timm.create_model(name), 3).state_dict(),
               tmp_path / 'b.pth')
    imported = import_weights(str(tmp_path / 'b.pth'))
    assert imported.meta['imported']['backbone'] == dict(
        type='mmpretrain.ResNet', **settings)


def test_timms_names_and_back():
    backbones = [
        ResNet(18, base_channels=8),
        ResNet(50, base_channels=8, deep_stem=True),
        ResNetV1d(depth=50, base_channels=8),
        ResNetV1d(depth=18, base_channels=8),
        ResNet(50, base_channels=8, avg_down=True)
    ]
    for backbone in backbones:
        weights = backbone.state_dict()
        renamed = to_timm(weights)
        assert len(renamed) == len(weights)
        assert from_timm(renamed).keys() == weights.keys()
        assert from_timm(weights).keys() == weights.keys()
    plain = backbones[0].state_dict()
    assert to_timm(plain).keys() == plain.keys()


def test_sync_bn_and_frozen_stages_export():
    backbone = randomise(ResNet(18, norm_cfg=dict(type='SyncBN'),
                                frozen_stages=1, out_indices=(0, 1)))
    weights, difference = export_backbone(backbone, 'torchvision')
    assert difference <= 1e-9
    torchvision.models.resnet18().load_state_dict(
        dict(weights, **{'fc.weight': torch.zeros(1000, 512),
                         'fc.bias': torch.zeros(1000)}))
    assert backbone.training


@pytest.mark.parametrize('make, form, message', [
    (lambda: ResNet(50, style='caffe'), 'timm', "style='caffe'"),
    (lambda: ResNet(18, dilations=(1, 1, 1, 2)), 'timm', 'dilations'),
    (lambda: ResNet(18, num_stages=3, strides=(1, 2, 2),
                    dilations=(1, 1, 1), out_indices=(2, )), 'torchvision',
     'fewer stages'),
    (lambda: ResNet(18, base_channels=8), 'timm', 'first stage has 8 chan'),
    (lambda: ResNet(18, in_channels=2), 'torchvision', 'stem has other'),
    (lambda: ResNet(18, norm_cfg=dict(type='GN', num_groups=8)),
     'torchvision', 'no batch norm'),
    (lambda: ResNetV1d(depth=50), 'torchvision', 'deep stem.*timm has'),
    (lambda: ResNeXt(50, groups=32, width_per_group=4), 'torchvision',
     'ResNeXt and not a ResNet'),
])
def test_what_others_cannot_express_is_refused(make, form, message):
    backbone = make()
    with pytest.raises(ValueError, match=message):
        export_backbone(backbone, form)
    weights, _ = export_backbone(backbone, 'mmpretrain')
    assert weights.keys() == {f'backbone.{k}' for k in backbone.state_dict()}


def test_timm_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    monkeypatch.setitem(sys.modules, 'timm.models.resnet', None)
    with pytest.raises(ImportError, match='pip install timm'):
        export_backbone(ResNetV1d(depth=18), 'timm')
    # A plain one does without.
    assert export_backbone(ResNet(18), 'timm')[1] <= 1e-9


def _swap(weights):
    """Exchange two weights of one shape."""
    a, b = 'layer1.0.conv1.weight', 'layer1.0.conv2.weight'
    return {**weights, a: weights[b], b: weights[a]}


def test_the_check_of_features_finds_a_wrong_name(monkeypatch, command,
                                                  tmp_path):
    monkeypatch.setattr(export, 'to_timm', _swap)
    with pytest.raises(RuntimeError, match='features of timm.*differ'):
        command('r18.pth', '--format', 'timm')
    assert not (tmp_path / 'out').exists()


def test_the_check_of_features_sees_padding_and_nan():
    ours, theirs = randomise(ResNet(18)), randomise(
        torchvision.models.resnet18())
    theirs.fc = nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    assert export.compare_features(ours, theirs) <= 1e-9
    theirs.maxpool.ceil_mode = True
    assert export.compare_features(ours, theirs) > 1e-2
    theirs.maxpool.ceil_mode = False
    ours.bn1.weight.data[3] = float('nan')
    with pytest.raises(RuntimeError, match='differ from ours by nan'):
        export_backbone(ours, 'torchvision')


def test_a_wrong_config_is_an_error(command, tmp_path):
    with pytest.raises(RuntimeError, match=r'layer1\.0\.conv3\.weight'):
        command('a.pth', '--cfg-options', 'model.backbone.depth=50')
    (tmp_path / 'empty.py').write_text('x = 1')
    with pytest.raises(ValueError, match='has no model.backbone'):
        command('a.pth', cfg=str(tmp_path / 'empty.py'))
