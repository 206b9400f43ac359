# Copyright (c) mmmultissl contributors. All rights reserved.
"""Files of other projects in, features and losses compared with theirs."""
import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.models import ResNet
from mmpretrain.registry import MODELS as MMPRETRAIN
from torch import nn

from mmmultissl.engine.checkpoint import (BrokenCheckpointError,
                                          UnsafeCheckpointError,
                                          load_pretrained)
from mmmultissl.registry import MODELS
from mmmultissl.weights import import_weights
from mmmultissl.weights.layouts import LAYOUTS, recognise
from mmmultissl.weights.networks import infer_resnet

from .published_files import (MoCoAuthors, MoCoV3Authors, OpenSelfSupBYOL,
                              OpenSelfSupDenseCL, randomise, training_file)

ROOT = Path(__file__).resolve().parents[2]
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))

DENSECL_NECK = dict(type='mmpretrain.DenseCLNeck', in_channels=512,
                    hid_channels=512, out_channels=8)
MOCO_NECK = dict(type='mmpretrain.MoCoV2Neck', in_channels=512,
                 hid_channels=512, out_channels=8)
HEAD = dict(type='mmpretrain.ContrastiveHead',
            loss=dict(type='mmpretrain.CrossEntropyLoss'), temperature=0.2)


def tool(name):
    """Import a command as a module."""
    spec = importlib.util.spec_from_file_location(
        f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torchvision_map(network):
    """Compute the last map of a torchvision ResNet."""
    body = nn.Sequential(*list(network.children())[:-2]).eval()
    with torch.no_grad():
        return body(IMAGES)


def our_map(path, **settings):
    """Compute the last map of a ResNet filled as mmpretrain and mmdet do."""
    backbone = ResNet(
        **settings,
        init_cfg=dict(
            type='Pretrained', checkpoint=path, prefix='backbone.'))
    load_pretrained(backbone, path, 'backbone.')
    backbone.init_weights()
    with torch.no_grad():
        backbone.eval()
        return backbone(IMAGES)[-1]


@pytest.fixture
def command(tmp_path, capsys):
    """Run the tool, get the path of its result and what it printed."""

    def run(source, *options):
        target = str(tmp_path / 'out' / 'converted.pth')
        tool('import_weights').main([str(source), target, *options])
        return target, capsys.readouterr().out

    return run


def config(tmp_path, **tasks):
    """Write a config of MultiSSL on a ResNet-18."""
    cfg = dict(
        default_scope='mmpretrain',
        model=dict(
            type='mmmultissl.MultiSSL',
            backbone=dict(type='mmpretrain.ResNet', depth=18),
            shuffle_bn=False,
            tasks=tasks))
    path = tmp_path / 'config.py'
    path.write_text('\n'.join(f'{k} = {v!r}' for k, v in cfg.items()))
    return str(path)


def moco_task(**more):
    return dict(type='mmmultissl.MoCoV2Task', neck=MOCO_NECK, queue_len=24,
                feat_dim=8, **more)


def densecl_task(**more):
    return dict(type='mmmultissl.DenseCLTask', neck=DENSECL_NECK,
                queue_len=24, feat_dim=8, **more)


# The backbone


@pytest.mark.parametrize('mlp', [True, False], ids=['v2', 'v1'])
def test_moco_authors(tmp_path, command, mlp):
    theirs = MoCoAuthors(mlp)
    source = training_file(tmp_path / 'moco.pth.tar', theirs, old_format=True,
                           epoch=200, arch='resnet18')
    target, said = command(source)
    difference = our_map(target, depth=18) - torchvision_map(theirs.encoder_q)
    assert difference.abs().max() < 1e-5

    content = torch.load(target, weights_only=True)
    assert len(content['state_dict']) == 120
    about = content['meta']['imported']
    assert about['layout'] == 'moco' and about['file'] == 'moco.pth.tar'
    assert about['epoch'] == 200 and about['arch'] == 'resnet18'
    assert len(about['sha256']) == 64
    assert about['bytes'] == Path(source).stat().st_size
    assert about['backbone'] == dict(type='mmpretrain.ResNet', depth=18)
    left_out = sum(about['left_out'].values(), [])
    heads = 4 if mlp else 2
    assert len(left_out) == 120 + 2 * heads + 2
    assert {'queue', 'queue_ptr', 'encoder_k.conv1.weight'} <= set(left_out)
    assert about['not_in_file'] == []
    for part in ('encoder_k.*', 'queue, queue_ptr', 'encoder_q.fc.*'):
        assert f'({part})' in said
    assert about['sha256'] in said


@pytest.mark.parametrize('name, shape', [
    ('resnet50', dict(depth=50)),
    pytest.param('wide_resnet50_2',
                 dict(depth=50, base_channels=128, expansion=2),
                 marks=pytest.mark.slow),
])
def test_torchvision(tmp_path, command, name, shape):
    theirs = randomise(getattr(torchvision.models, name)())
    torch.save(theirs.state_dict(), tmp_path / 'theirs.pth')
    target, _ = command(tmp_path / 'theirs.pth')
    about = torch.load(target, weights_only=True)['meta']['imported']
    assert about['backbone'] == dict(type='mmpretrain.ResNet', **shape)
    assert about['layout'] == 'torchvision'
    assert about['left_out'] == {
        'classifier, predictor or other head': ['fc.weight', 'fc.bias']}
    expected = torchvision_map(theirs)
    difference = our_map(target, **shape) - expected
    assert difference.abs().max() <= 1e-5 * expected.abs().max()


def test_other_layouts(tmp_path):
    moco3, dense, byol = MoCoV3Authors(), OpenSelfSupDenseCL(), \
        OpenSelfSupBYOL()
    extracted = dict(state_dict=dense.backbone.state_dict(), author='DenseCL')
    torch.save(extracted, tmp_path / 'extracted.pth')
    meta = dict(epoch=3, iter=9, config='raise SystemExit', mmcv_version='1')
    cases = [
        (training_file(tmp_path / 'moco3.pth', moco3), 'mocov3',
         moco3.base_encoder),
        (training_file(tmp_path / 'densecl.pth', dense, meta=meta),
         'openmmlab', dense.backbone),
        (training_file(tmp_path / 'byol.pth', byol), 'openmmlab',
         byol.backbone),
        (str(tmp_path / 'extracted.pth'), 'torchvision', dense.backbone),
    ]
    for path, layout, theirs in cases:
        found = import_weights(path)
        assert found.meta['imported']['layout'] == layout, path
        expected = {k: v for k, v in theirs.state_dict().items()
                    if not k.startswith('fc.')}
        assert set(found.weights) == {f'backbone.{key}' for key in expected}
        for key, value in expected.items():
            assert torch.equal(found.weights[f'backbone.{key}'], value), key
    found = import_weights(cases[1][0]).meta['imported']
    assert found['epoch'] == 3 and found['iter'] == 9
    left_out = found['left_out']['queue of negative keys and its position']
    assert left_out == ['queue', 'queue2', 'queue_ptr', 'queue2_ptr']


def test_classifier_and_detector_of_openmmlab(tmp_path):
    theirs = MMPRETRAIN.build(dict(
        type='ImageClassifier', backbone=dict(type='ResNet', depth=18),
        head=dict(type='LinearClsHead', in_channels=512, num_classes=3)))
    weights = dict(theirs.state_dict())
    weights['neck.fpn_convs.0.conv.weight'] = torch.zeros(1)
    weights['rpn_head.rpn_cls.weight'] = torch.zeros(1)
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    found = import_weights(str(tmp_path / 'a.pth'))
    assert set(found.weights) == {
        key for key in weights if key.startswith('backbone.')}
    assert found.meta['imported']['left_out'] == {
        'classifier, predictor or other head':
        ['head.fc.weight', 'head.fc.bias'],
        'projection of the pretraining, or neck of a detector':
        ['neck.fpn_convs.0.conv.weight'],
        'outside the backbone': ['rpn_head.rpn_cls.weight'],
    }


def test_deep_stems_under_timms_names(tmp_path):
    # A test with timm itself is in test_export.py.
    theirs = ResNet(50, deep_stem=True, avg_down=True)
    names = {'stem.0.conv': 'conv1.0', 'stem.0.bn': 'conv1.1',
             'stem.1.conv': 'conv1.3', 'stem.1.bn': 'conv1.4',
             'stem.2.conv': 'conv1.6', 'stem.2.bn': 'bn1',
             'layer1.0.downsample.1': 'layer1.0.downsample.2',
             'layer1.0.downsample.0': 'layer1.0.downsample.1'}
    weights = {}
    for key, value in theirs.state_dict().items():
        module, _, kind = key.rpartition('.')
        weights[f'{names.get(module, module)}.{kind}'] = value
    torch.save(weights, tmp_path / 'a.pth')
    found = import_weights(str(tmp_path / 'a.pth'))
    assert found.meta['imported']['backbone'] == dict(
        type='mmpretrain.ResNet', depth=50, deep_stem=True, avg_down=True)
    for key, value in theirs.state_dict().items():
        assert torch.equal(found.weights[f'backbone.{key}'], value), key


@pytest.mark.parametrize('settings', [
    dict(depth=18), dict(depth=34, base_channels=8),
    dict(depth=101, base_channels=8), dict(depth=152, base_channels=4),
    dict(depth=18, in_channels=2, stem_channels=16, base_channels=8),
    dict(depth=50, base_channels=16, expansion=2),
    dict(depth=50, stem_channels=8, base_channels=8, deep_stem=True),
    dict(depth=18, avg_down=True),
], ids=str)  # yapf: disable
def test_every_shape_is_inferred(settings):
    weights = ResNet(**settings).state_dict()
    assert infer_resnet(weights, 'a.pth') == dict(
        type='mmpretrain.ResNet', **settings)


def test_batch_counters_may_be_missing(tmp_path, command):
    weights = {
        key: value for key, value in ResNet(18).state_dict().items()
        if 'num_batches' not in key
    }
    torch.save(weights, tmp_path / 'a.pth')
    target, said = command(tmp_path / 'a.pth')
    content = torch.load(target, weights_only=True)
    assert len(content['state_dict']) == 120
    missing = content['meta']['imported']['not_in_file']
    assert len(missing) == 20 and all('num_batches' in k for k in missing)
    assert '20 keys such as backbone.bn1' not in said
    assert '20 keys such as bn1.num_batches_tracked' in said


# Going on with pretraining


def filled(path, cfg_path):
    model = MODELS.build(Config.fromfile(cfg_path).model)
    load_checkpoint(model, path, strict=True)
    model.train()
    return model


@pytest.mark.parametrize('mlp', [True, False], ids=['v2', 'v1'])
def test_moco_of_the_authors_goes_on(tmp_path, command, mlp):
    theirs = MoCoAuthors(mlp).train()
    source = training_file(tmp_path / 'moco.pth.tar', theirs)
    neck = MOCO_NECK if mlp else dict(
        type='mmpretrain.LinearNeck', in_channels=512, out_channels=8,
        gap_dim=2, norm_cfg=None)
    cfg = config(tmp_path, moco=dict(moco_task(), neck=neck))
    target, said = command(source, '--config', cfg, '--with-tasks')
    model = filled(target, cfg)
    assert 'left out' not in said
    assert model.tasks['moco'].queue.position == 16

    views = [IMAGES, IMAGES.flip(3)]
    losses = model.loss(views)
    # MoCo's algorithm 1 on the authors' modules.
    with torch.no_grad():
        for key, query in zip(theirs.encoder_k.parameters(),
                              theirs.encoder_q.parameters()):
            key.mul_(0.999).add_(query, alpha=0.001)
        k = F.normalize(theirs.encoder_k(views[1]), dim=1)
    q = F.normalize(theirs.encoder_q(views[0]), dim=1)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ theirs.queue], 1)
    expected = F.cross_entropy(logits / 0.2, torch.zeros(2).long())
    assert losses['moco.loss'].item() == pytest.approx(
        expected.item(), rel=1e-5)
    queue = model.tasks['moco'].queue
    assert queue.position == 18
    assert torch.allclose(queue.keys[:, 16:18], k.t(), atol=1e-5)
    assert torch.equal(queue.keys[:, :16], theirs.queue[:, :16])


@pytest.mark.parametrize('name', ['MoCo', 'DenseCL'])
def test_mmpretrains_algorithm_goes_on(tmp_path, command, name):
    dense = name == 'DenseCL'
    theirs = MMPRETRAIN.build(dict(
        type=name, backbone=dict(type='ResNet', depth=18),
        neck=DENSECL_NECK if dense else MOCO_NECK, head=HEAD, queue_len=24,
        feat_dim=8, momentum=0.01))
    theirs.train()
    randomise(theirs.backbone, 1)
    randomise(theirs.encoder_k.module[0], 2)
    theirs.encoder_k.steps.fill_(11)
    theirs.queue_ptr[0] = 4
    torch.save(dict(state_dict=theirs.state_dict()), tmp_path / 'a.pth')
    task = densecl_task if dense else moco_task
    cfg = config(tmp_path, it=task(momentum=0.01))
    target, _ = command(tmp_path / 'a.pth', '--config', cfg, '--with-tasks')
    model = filled(target, cfg)
    assert model.momentum['ema0'].steps == 11

    for _ in range(2):
        views = [torch.randn(2, 3, 64, 64), torch.randn(2, 3, 64, 64)]
        expected = theirs.loss(views, [])
        losses = model.loss(views)
        assert len(losses) == len(expected)
        for key, value in expected.items():
            assert losses[f'it.{key}'].item() == pytest.approx(
                value.item(), rel=1e-5), key


def test_densecl_of_the_authors_fills_both_queues(tmp_path):
    theirs = OpenSelfSupDenseCL()
    source = training_file(tmp_path / 'a.pth', theirs)
    cfg = config(tmp_path, dense=densecl_task())
    found = import_weights(source, cfg=Config.fromfile(cfg), with_tasks=True)
    weights = found.weights
    assert torch.equal(weights['tasks.dense.queue.keys'], theirs.queue)
    assert torch.equal(weights['tasks.dense.dense_queue.keys'], theirs.queue2)
    assert int(weights['tasks.dense.dense_queue._extra_state']) == 8
    assert int(weights['tasks.dense.queue._extra_state']) == 16
    # The EMA must not be overwritten by the first step.
    assert int(weights['momentum.ema0._extra_state'][0]) > 0
    assert torch.equal(weights['momentum.ema0.tasks.dense.neck.mlp2.2.bias'],
                       theirs.encoder_k[1].mlp2[2].bias)
    assert torch.equal(weights['momentum.ema0.backbone.bn1.running_var'],
                       theirs.encoder_k[0].bn1.running_var)


def test_tasks_that_do_not_fit(tmp_path):
    source = training_file(tmp_path / 'a.pth', MoCoAuthors())

    def run(message, kind=ValueError, **tasks):
        cfg = Config.fromfile(config(tmp_path, **tasks)) if tasks else None
        with pytest.raises(kind, match=message):
            import_weights(source, cfg=cfg, with_tasks=True)

    run('name its config with --config')
    run('one MoCoV2Task and the config has 0', densecl=densecl_task())
    run(r'(?s)tasks\.densecl\.neck.*model\.tasks\.NAME=None', RuntimeError,
        moco=moco_task(), densecl=densecl_task())
    run(r'queue\.keys \(file \[8, 24\], model \[8, 48\]\)', RuntimeError,
        moco=dict(moco_task(), queue_len=48))
    byol = training_file(tmp_path / 'byol.pth', OpenSelfSupBYOL())
    with pytest.raises(ValueError, match='has no queue.*leave out --with-ta'):
        import_weights(byol, with_tasks=True, cfg=Config.fromfile(
            config(tmp_path, moco=moco_task())))


# What is refused


class Malicious:

    def __reduce__(self):
        return (exec, ('raise SystemExit("it ran")', ))


def test_a_file_is_never_executed(tmp_path):
    torch.save(dict(state_dict=ResNet(18).state_dict(), x=Malicious()),
               tmp_path / 'a.pth')
    with pytest.raises(UnsafeCheckpointError, match='exec'):
        import_weights(str(tmp_path / 'a.pth'))
    (tmp_path / 'b.pth').write_bytes(b'no checkpoint')
    with pytest.raises(BrokenCheckpointError):
        import_weights(str(tmp_path / 'b.pth'))


def _spoilt(change):
    weights = ResNet(18).state_dict()
    change(weights)
    return weights


@pytest.mark.parametrize(
    'weights, message',
    [
        (_spoilt(lambda w: w.pop('layer2.0.conv1.weight')),
         r'1 not in the file: layer2\.0\.conv1\.weight'),
        (_spoilt(lambda w: w.update({'bn1.bias': torch.zeros(3)})),
         r'bn1\.bias \(file \[3\], model \[64\]\)'),
        (_spoilt(lambda w: w.update({'layer1.0.se.conv.weight':
                                     torch.zeros(3)})),
         r'1 in the file only: layer1\.0\.se\.conv\.weight'),
        (_spoilt(lambda w: w['conv1.weight'].fill_(float('nan'))),
         'nan or inf in 1 weights, first in conv1.weight'),
        ({'pos_embed': torch.zeros(1), 'blocks.0.attn.weight': torch.zeros(1)},
         'vision transformer, and only ResNets'),
        ({'features.0.weight': torch.zeros(1)},
         'none of the known layouts.* start with features'),
        ({'backbone.layer1.0.w': torch.zeros(1), 'conv1.weight':
          torch.zeros(1)}, 'layouts openmmlab and torchvision: choose'),
        ({'backbone.conv1.weight': torch.zeros(1),
          'encoder_q.0.conv1.weight': torch.ones(1)},
         'two different values for backbone.conv1.weight'),
        (dict(torchvision.models.resnext50_32x4d().state_dict()),
         'bottlenecks of 32 groups.*--config'),
        (dict(epoch=3), 'holds no weights'),
    ],
    ids=[
        'missing', 'shape', 'surplus', 'nan', 'vit', 'unknown', 'ambiguous',
        'contradiction', 'resnext', 'empty'
    ])
def test_what_does_not_fit_is_refused(tmp_path, weights, message):
    torch.save(dict(state_dict=weights), tmp_path / 'a.pth')
    with pytest.raises((ValueError, RuntimeError), match=message):
        import_weights(str(tmp_path / 'a.pth'))


def test_a_config_names_other_networks(tmp_path, command):
    theirs = torchvision.models.resnext50_32x4d()
    torch.save(theirs.state_dict(), tmp_path / 'a.pth')
    (tmp_path / 'b.py').write_text(
        "model = dict(backbone=dict(type='mmpretrain.ResNeXt', depth=50, "
        'groups=32, width_per_group=4))')
    target, _ = command(tmp_path / 'a.pth', '--config',
                        str(tmp_path / 'b.py'))
    found = torch.load(target, weights_only=True)['state_dict']
    assert torch.equal(found['backbone.layer3.1.conv2.weight'],
                       theirs.layer3[1].conv2.weight)
    (tmp_path / 'c.py').write_text(
        "model = dict(backbone=dict(type='mmpretrain.ResNet', depth=50))")
    with pytest.raises(RuntimeError, match='does not fit the backbone ResNet'):
        command(tmp_path / 'a.pth', '--config', str(tmp_path / 'c.py'))


def test_the_command_keeps_its_source(tmp_path, command):
    path = tmp_path / 'a.pth'
    torch.save(ResNet(18).state_dict(), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match='is the file to be read'):
        tool('import_weights').main([str(path), str(path)])
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match='reads no safetensors'):
        tool('import_weights').main([str(path), 'b.safetensors'])
    with pytest.raises(ValueError, match='no backbone in the layout moco'):
        command(path, '--layout', 'moco')
    with pytest.raises(FileNotFoundError, match='no checkpoint file'):
        command(tmp_path / 'gone.pth')


def test_layouts_are_told_apart():
    for name, layout in LAYOUTS.items():
        key = dict(moco='encoder_q.conv1.weight', openmmlab='backbone.a',
                   mocov3='base_encoder.layer1.0.conv1.weight',
                   torchvision='layer1.0.conv1.weight')[name]
        assert recognise({key: torch.zeros(1)}, 'a.pth') is layout
