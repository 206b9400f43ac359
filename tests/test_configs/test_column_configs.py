# Copyright (c) mmmultissl contributors. All rights reserved.
"""Configs with several columns build, are filled and do their tasks."""
import importlib.util
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, DefaultScope
from mmpretrain.models import ResNet

import mmmultissl.engine  # noqa: F401
from mmmultissl.models import (ConcatBackbone, ProgressiveBackbone,
                               concat_overrides, transfer_overrides)

from ..test_detection.made_data import write_voc
from ..test_evaluation.tiny_voc import make_tiny_voc
from ..test_tools.test_binaural_downstream import data  # noqa: F401
from ..test_tools.test_binaural_downstream import load_tool, options
from .test_shipped_configs import is_known, types_in

CONFIGS = Path(__file__).parents[2] / 'configs'
FOLDERS = ('voc07/concat', 'detection/concat', 'detection/progressive',
           'binaural/downstream/concat')
NAMES = [str(path.relative_to(CONFIGS)) for folder in FOLDERS
         for path in sorted((CONFIGS / folder).glob('*.py'))]
BOTH = ('moco', 'densecl')
# An eighth of the channels: quick.
THIN = dict(base_channels=8, stem_channels=8)


def read(name, tmp_path):
    """Read a config by path, after a look at inheritance by name."""
    cfg = Config.fromfile(CONFIGS / name)
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmmultissl::{name}'\n")
    inherited = Config.fromfile(child)
    assert inherited.model.backbone.columns == cfg.model.backbone.columns
    assert inherited.model.backbone.type == cfg.model.backbone.type
    return cfg


@pytest.fixture(scope='module')
def resnets(tmp_path_factory):
    """Two pretraining checkpoints, and their networks."""
    folder = tmp_path_factory.mktemp('resnets')
    nets, paths = {}, {}
    for seed, name in enumerate(BOTH):
        torch.manual_seed(seed)
        nets[name] = ResNet(18, **THIN)
        nets[name].init_weights()
        paths[name] = save(nets[name], folder / f'{name}.pth')
    return nets, paths


def save(net, path):
    torch.save(dict(state_dict={f'backbone.{key}': value for key, value
                                in net.state_dict().items()}), path)
    return str(path)


def columns(paths):
    return {f'model.backbone.columns.{name}.checkpoint': path
            for name, path in paths.items()}


def thin(place='model.backbone.backbone'):
    return {f'{place}.{key}': value for key, value in THIN.items()}


@pytest.mark.parametrize('name', NAMES)
def test_config_builds(name, tmp_path):
    cfg = read(name, tmp_path)
    assert cfg.runner_type == 'mmmultissl.StrictRunner'
    backbone = cfg.model.backbone.to_dict()
    for path, scope, kind in types_in(backbone):
        if kind != 'Pretrained' and not path.endswith('.norm_cfg'):
            assert '.' in kind and is_known(kind, scope or cfg.default_scope)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        # mmdet builds shapes alone, which is quicker; mmpretrain does not.
        device = 'meta' if cfg.default_scope == 'mmdet' else 'cpu'
        with torch.device(device):
            model = MODELS.build(cfg.model)
    net = model.backbone
    kind = ProgressiveBackbone if '/progressive/' in name else ConcatBackbone
    assert type(net) is kind
    expected = (('spatial', 'foreground', 'gap') if 'binaural' in name
                else BOTH)
    assert tuple(net.columns) == expected
    # Trained along in detection as one encoder alone is.
    assert net.frozen is ('detection/concat' not in name)
    assert not any(cfg.model.backbone.columns[key].get('checkpoint')
                   for key in expected)
    package = ('mmdet' if 'detection' in name else
               'mmmultissl' if 'binaural' in name else 'mmpretrain')
    for column in net.columns.values():
        assert type(column).__module__.startswith(f'{package}.')
    if 'detection' in name:
        widths = [64 * 2**i * (4 if '_r50_' in name else 1)
                  for i in range(4)]
        if kind is ConcatBackbone:
            widths = [2 * width for width in widths]
        assert [conv.conv.in_channels
                for conv in model.neck.lateral_convs] == widths
        assert type(model).__module__.startswith('mmdet.models.detectors')
    elif 'binaural' in name:
        assert 192 in (cfg.model.head.get('in_channels'),
                       cfg.model.head.get('audio_channels'))
        assert net(torch.ones(1, 2, 65, 65))[0].shape[1] == 192
        assert not any(each.requires_grad for each in net.parameters())
        cfg.merge_from_dict({'model.frozen': False,
                             'model.backbone.frozen': False})
        tuned = MODELS.build(cfg.model).train().backbone
        assert all(each.requires_grad for each in tuned.parameters())
        assert all(each.training for each in tuned.modules())


def test_neck_follows_backbone_by_whatever_there_is():
    pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
    cfg = Config.fromfile(CONFIGS / 'detection/concat' / (
        'faster-rcnn_moco-densecl_r18_fpn_2k_voc07-160px.py'))
    cfg.merge_from_dict({
        'model.backbone.columns.third': dict(
            backbone=dict(type='mmdet.ResNet', depth=50)),
        'model.backbone.columns.densecl': None})
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model)
        after = torch.rand(1)
        x = torch.rand(1, 3, 64, 64)
        with pytest.raises(ValueError, match='has no neck whose in_channels'):
            MODELS.build(dict(cfg.model, neck=None))
        # By hand the same detector, from the same random numbers.
        torch.manual_seed(1)
        cfg.model.type = cfg.model.pop('detector')
        cfg.model.neck.in_channels = [320, 640, 1280, 2560]
        by_hand = MODELS.build(cfg.model)
    assert torch.equal(after, torch.rand(1))
    ours, theirs = model.state_dict(), by_hand.state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        assert torch.equal(ours[key], value), key
    with torch.no_grad():
        for got, want in zip(model.eval().extract_feat(x),
                             by_hand.eval().extract_feat(x)):
            assert got.shape[1] == 128 and torch.equal(got, want)


@pytest.mark.parametrize('name', [
    name for name in NAMES if '/concat/' in name])
def test_overrides_lead_to_what_is_shipped(name, tmp_path):
    """From the config of one encoder alone, without and with a run's file."""
    path = CONFIGS / name
    middle = ('_spatial-foreground-gap' if 'binaural' in name else
              '_moco-densecl')
    cfg = Config.fromfile(path.parents[1] / path.name.replace(middle, ''))
    want = Config.fromfile(path).model.to_dict()
    column = cfg.model.backbone.to_dict()
    trained = want['backbone']
    inner = trained['backbone']
    inner.pop('init_cfg', None)
    names = {key: f'{key}.pth' for key in trained['columns']}
    for made in (
            concat_overrides(names, inner, trained.get('frozen', True),
                             cfg.model),
            transfer_overrides(trained, inner, 'run.pth', cfg.model)):
        merged = Config(dict(model=cfg.model.to_dict()))
        merged.merge_from_dict(made)
        got = merged.model.to_dict()
        given = got['backbone'].pop('columns')
        assert list(given) == list(names)
        assert given['moco' if 'moco' in names else 'gap'] in (
            {}, dict(checkpoint='moco.pth'), dict(checkpoint='gap.pth'))
        init = got['backbone'].pop('init_cfg', None)
        assert init is None or init['checkpoint'] == 'run.pth'
        got['backbone'].setdefault('frozen', True)
        expected = dict(want, backbone=dict(trained))
        expected['backbone'].pop('columns')
        expected['backbone'].setdefault('frozen', True)
        assert got == expected
    assert 'columns' not in column


# Detection


def detector_runner(name, tmp_path, folder, more, monkeypatch):
    monkeypatch.setenv('VOC_ROOT', str(folder))
    cfg = Config.fromfile(CONFIGS / name)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.log_level = 'ERROR'
    cfg.experiment_name = tmp_path.name + str(len(more))
    for loader in ('train_dataloader', 'val_dataloader'):
        cfg[loader].update(
            num_workers=0, persistent_workers=False, batch_size=2)
        for part in cfg[loader].dataset.pipeline:
            if 'scale' in part:
                part.scale = (64, 64)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.merge_from_dict({'train_cfg.max_iters': 1,
                         'param_scheduler': None,
                         'default_hooks.checkpoint.interval': 1,
                         **thin(), **more})
    return RUNNERS.build(cfg)


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    folder = tmp_path_factory.mktemp('voc')
    write_voc(folder)
    return folder


def test_detection_with_both_encoders(resnets, voc, tmp_path, monkeypatch):
    pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
    nets, paths = resnets
    name = ('detection/concat/'
            'faster-rcnn_moco-densecl_r18_fpn_2k_voc07-160px.py')
    runner = detector_runner(name, tmp_path, voc, columns(paths), monkeypatch)
    runner.train()
    saved = torch.load(tmp_path / 'run/iter_1.pth', weights_only=True)
    weights = saved['state_dict']
    for column, net in nets.items():
        trained = weights[f'backbone.columns.{column}.layer1.0.conv1.weight']
        loaded = net.layer1[0].conv1.weight
        assert not torch.equal(trained, loaded)
        torch.testing.assert_close(trained, loaded, atol=0.1, rtol=0.)
    # The run goes on without the columns' files.
    again = detector_runner(
        name, tmp_path, voc, dict(
            columns({key: f'{path}.gone' for key, path in paths.items()}),
            **{'train_cfg.max_iters': 2}), monkeypatch)
    again._resume = True
    again.train()
    assert (tmp_path / 'run/iter_2.pth').is_file()
    # A new one does not start without them, and nothing is trained.
    fresh = detector_runner(
        name, tmp_path / 'other', voc,
        columns(dict(paths, moco='gone.pth')), monkeypatch)
    with pytest.raises(FileNotFoundError, match='"gone.pth" for the column'):
        fresh.train()


def test_detection_from_a_progressive_run(resnets, voc, tmp_path,
                                          monkeypatch):
    pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
    _, paths = resnets
    trained = dict(
        type='mmmultissl.ProgressiveBackbone',
        backbone=dict(type='mmpretrain.ResNet', depth=18, **THIN),
        columns=dict(moco=dict(checkpoint=paths['moco']), densecl=dict()))
    source = MODELS.build(trained)
    source.init_weights()
    for adapter in source.adapters.densecl.values():
        torch.nn.init.normal_(adapter.expand.weight, std=0.1)
    path = save(source, tmp_path / 'progressive.pth')
    name = ('detection/progressive/'
            'faster-rcnn_moco-densecl_r18_fpn_2k_voc07-160px.py')
    runner = detector_runner(
        name, tmp_path, voc,
        {'checkpoint': path, 'model.neck.in_channels': [8, 16, 32, 64]},
        monkeypatch)
    runner.train()
    weights = torch.load(
        tmp_path / 'run/iter_1.pth', weights_only=True)['state_dict']
    for key, value in source.state_dict().items():
        same = torch.equal(weights[f'backbone.{key}'], value)
        if key.startswith('columns.moco.'):
            assert same, key
        elif key.endswith('expand.weight'):
            assert not same, key
    # What the shipped config says is what a run's config leads to.
    cfg = Config.fromfile(CONFIGS / name)
    column = dict(cfg.model.backbone.backbone)
    made = transfer_overrides(trained, column)['model']['backbone']
    assert made.pop('_delete_')
    column.pop('init_cfg')
    want = cfg.model.backbone.to_dict()
    want['backbone'] = column
    assert made == want
    with pytest.raises(ValueError, match='ResNet, which has no columns'):
        transfer_overrides(trained['backbone'], column)


# VOC07


def tool(name, monkeypatch):
    monkeypatch.syspath_prepend(str(CONFIGS.parent / 'tools'))
    spec = importlib.util.spec_from_file_location(
        f'columns_{name}', CONFIGS.parent / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_voc07_of_both_encoders(resnets, tmp_path, monkeypatch):
    nets, paths = resnets
    root = make_tiny_voc(tmp_path)
    name = str(CONFIGS / 'voc07/concat/svm_moco-densecl_resnet18_128px.py')
    given = [f'{key}={value}' for key, value in
             {**columns(paths), **thin()}.items()]
    common = ['--size', '64', '--num-workers', '0', '--costs', '1',
              '--data-root', str(root)]
    from mmmultissl.evaluation.voc07.command import main
    kept, out = tmp_path / 'f.npy', tmp_path / 'out.json'
    result = main([name, 'columns', *common, '--save-features', str(kept),
                   '--out', str(out), '--cfg-options', *given],
                  probes=('svm', ))
    assert paths['moco'] in result['choices']['checkpoint']
    import numpy as np
    both = torch.from_numpy(np.load(kept))
    assert both.shape == (40, 128)
    for half, column in zip(both.split(64, 1), paths):
        alone = main([str(CONFIGS / 'voc07/svm_resnet18_128px.py'),
                      paths[column], *common, '--save-features', str(kept),
                      '--out', str(out), '--cfg-options',
                      'model.backbone.base_channels=8',
                      'model.backbone.stem_channels=8'], probes=('svm', ))
        assert torch.equal(half, torch.from_numpy(np.load(kept)))
        assert alone['mAP'] > 0
    with pytest.raises(ValueError, match='"moco" of ConcatBackbone has no'):
        main([name, 'columns', *common], probes=('svm', ))
    # The same through a test run.
    tool('test', monkeypatch)([
        name, 'columns', '--work-dir', str(tmp_path / 'run'), '--cfg-options',
        *given, 'test_dataloader.num_workers=0', 'test_cfg.svm.costs=[1.]',
        'test_dataloader.dataset.image_size=64',
        f'test_dataloader.dataset.data_root={root}'])
    again = json.loads((tmp_path / 'run/voc07_svm.json').read_text())
    assert again['mAP'] == result['mAP']


# Sound


def test_azimuth_from_three_encoders(data, tmp_path, monkeypatch):  # noqa
    small = dict(type='mmmultissl.OmniAudioNet', base_channels=16)
    paths, nets = {}, {}
    for seed, name in enumerate(('spatial', 'foreground', 'gap')):
        torch.manual_seed(seed)
        nets[name] = MODELS.build(dict(small))
        nets[name].init_weights()
        paths[name] = save(nets[name], tmp_path / f'{name}.pth')
    monkeypatch.setenv('BINAURAL_ROOT', str(data))
    name = str(CONFIGS / 'binaural/downstream/concat/'
               'azimuth_spatial-foreground-gap_omniaudio_16khz.py')
    work = tmp_path / 'run'
    given = options(*(f'{key}={value}'
                      for key, value in columns(paths).items()))
    load_tool('train', monkeypatch)([
        name, '--work-dir', str(work), *given, 'train_cfg.max_epochs=5'])
    last = sorted(work.glob('iter_*.pth'))[-1]
    weights = torch.load(last, weights_only=True)['state_dict']
    for column, net in nets.items():
        for key, value in net.state_dict().items():
            assert torch.equal(
                weights[f'backbone.columns.{column}.{key}'], value), key
    # A saved probe needs no file of a column.
    for path in paths.values():
        Path(path).unlink()
    load_tool('test', monkeypatch)([
        name, str(last), '--work-dir', str(work), '--out',
        str(tmp_path / 'metrics.json'), '--out-item', 'metrics', *given[:4]])
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    # Sounds come from 90 or -90 degrees; the best single answer errs by more.
    assert metrics['azimuth/error'] < 0.85 * metrics['azimuth/constant_error']
