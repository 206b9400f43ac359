# Copyright (c) mmmultissl contributors. All rights reserved.
"""Backbones made of several: values, gradients, weights, errors."""
import copy
import hashlib
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmdet.models import ResNet as DetResNet
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import ResNet
from torch import nn

from mmmultissl.engine.backbone_weights import fill_backbone, load_pinned
from mmmultissl.engine.checkpoint import check_pretrained, load_and_compare
from mmmultissl.models import (ConcatBackbone, Conv2D10, MultiSSL,
                               OmniAudioNet, ProgressiveBackbone,
                               concat_overrides, progressive_overrides)
from mmmultissl.models.backbones.lateral_adapter import LateralAdapter
from mmmultissl.models.backbones.steps import (output_channels, step_shapes,
                                               steps_of)
from mmmultissl.models.utils import recompute
from mmmultissl.utils.command_line import leave_processes

from . import golden
from .test_distributed import BATCH, Untouched, free_port
from .test_distributed import train as train_rows

R18 = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=8,
    base_channels=8,
    out_indices=(1, 3))
OMNI = dict(
    type='mmmultissl.OmniAudioNet',
    base_channels=4,
    dilations=(1, 2),
    out_indices=(2, 4))


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def disturb(module):
    """Make norms unlike what a fresh network has."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.9, 1.1)
            norm.weight.data.uniform_(0.5, 1.5)
    return module


def save(module, path, prefix='backbone.'):
    weights = {prefix + key: value
               for key, value in module.state_dict().items()}
    torch.save(dict(state_dict=dict(weights, other=torch.ones(1))), path)
    return str(path)


@pytest.fixture
def parts(tmp_path):
    """Two trained backbones and their files."""
    nets = {name: disturb(MODELS.build(R18)) for name in ('moco', 'densecl')}
    for net in nets.values():
        net.init_weights()
        disturb(net)
    return nets, {name: save(net, tmp_path / f'{name}.pth')
                  for name, net in nets.items()}


def column(path, **more):
    return dict(checkpoint=path, **more)


def concat(paths, **options):
    net = ConcatBackbone({name: column(path) for name, path in paths.items()},
                         R18, **options)
    net.init_weights()
    return net


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[key], b[key]) for key in a)


def snapshot(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


# Steps


@pytest.mark.parametrize('build, x', [
    (lambda: ResNet(18, base_channels=8, stem_channels=8,
                    out_indices=(0, 1, 2, 3)), (2, 3, 64, 48)),
    (lambda: ResNet(50, base_channels=8, stem_channels=8, deep_stem=True,
                    out_indices=(2, )), (2, 3, 64, 64)),
    (lambda: DetResNet(18, base_channels=8, stem_channels=8),
     (2, 3, 64, 64)),
    (lambda: OmniAudioNet(base_channels=4, out_indices=(0, 2, 4)),
     (2, 2, 65, 49)),
    (lambda: Conv2D10(base_channels=4, out_indices=(1, 5)), (2, 2, 65, 49)),
])
def test_steps_are_the_forward_pass(build, x):
    net, x = build(), torch.randn(x)
    expected = net(x)
    again, outputs = copy.deepcopy(net), []
    steps, y = steps_of(again), x
    y = steps.prepare(y)
    for name in steps.names:
        y = steps.run(name, y)
        if name in [steps.stages[i] for i in net.out_indices]:
            outputs.append(steps.output(name, y))
    assert len(outputs) == len(expected)
    for got, want in zip(outputs, expected):
        assert torch.equal(got, want)
    before = snapshot(net)
    assert output_channels(net) == tuple(each.shape[1] for each in expected)
    widths = {name: shape[0] for name, shape in step_shapes(net).items()}
    assert set(widths) == set(steps.names)
    assert same(before, snapshot(net))


def test_an_unknown_network_has_no_steps():
    class Other(ResNet):

        def forward(self, x):
            return (x, )

    with pytest.raises(ValueError, match='Other cannot be taken apart'):
        steps_of(Other(18))


# Concatenation


def test_concat_is_torch_cat_of_its_parts(parts):
    nets, paths = parts
    net = concat(paths)
    x = torch.randn(2, 3, 64, 64)
    for each in nets.values():
        each.eval()
    with torch.no_grad():
        expected = [torch.cat(maps, 1) for maps in zip(
            *(each(x) for each in nets.values()))]
    net.train()
    before = snapshot(net)
    outputs = net(x)
    assert [out.requires_grad for out in outputs] == [False, False]
    for got, want in zip(outputs, expected):
        assert torch.equal(got, want)
    assert net.out_channels == (32, 128)
    assert same(before, snapshot(net))  # in training mode, too
    net.out_indices = (3, )
    assert torch.equal(net(x)[0], expected[1])
    assert net.num_stages == 4 and net.out_channels == (128, )


def test_concat_can_be_fine_tuned(parts):
    nets, paths = parts
    net = concat(paths, frozen=False).train()
    net(torch.randn(2, 3, 64, 64))[-1].square().sum().backward()
    for name in nets:
        assert net.columns[name].conv1.weight.grad.abs().sum() > 0
        assert not torch.equal(net.columns[name].bn1.running_mean,
                               nets[name].bn1.running_mean)


def test_maps_of_different_sizes():
    cfg = dict(R18, strides=(1, 2, 2, 1))
    columns = dict(a=column('random'), b=column('random', backbone=cfg))
    x = torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match='output 1 .a 2x2, b 4x4.*resize=Tru'):
        ConcatBackbone(columns, R18)(x)
    net = ConcatBackbone(columns, R18, resize=True).eval()
    coarse, fine = (net.columns[name](x)[1] for name in 'ab')
    want = nn.functional.interpolate(fine, (2, 2), mode='bilinear')
    torch.testing.assert_close(net(x)[1], torch.cat([coarse, want], 1))
    columns['b'] = column('random', backbone=dict(R18, out_indices=(3, )))
    with pytest.raises(ValueError, match='numbers of maps .a 2, b 1.'):
        ConcatBackbone(columns, R18)(x)


def test_concat_resumes_without_the_columns_files(parts, tmp_path):
    _, paths = parts
    whole = save(concat(paths), tmp_path / 'whole.pth')
    gone = {name: str(tmp_path / f'gone_{name}.pth') for name in paths}
    net = concat(gone)
    x = torch.randn(1, 3, 64, 64)
    with pytest.raises(FileNotFoundError, match='gone_moco.pth" for the colu'):
        net(x)
    load_pinned(net, whole)
    assert torch.equal(net(x)[1], concat(paths)(x)[1])
    # By init_cfg no file of a column is looked at.
    init = dict(type='Pretrained', checkpoint=whole, prefix='backbone.')
    for files in (gone, dict.fromkeys(paths)):
        other = concat(files, init_cfg=init)
        check_pretrained(other)
        assert same(snapshot(other), snapshot(net))
        assert torch.equal(other(x)[1], net(x)[1])


def test_concat_says_what_is_wrong(parts, tmp_path):
    nets, paths = parts
    right = hashlib.sha256(open(paths['moco'], 'rb').read()).hexdigest()

    def build(**cfg):
        net = ConcatBackbone(dict(moco=dict(dict(column(paths['moco'])),
                                            **cfg)), R18)
        net.init_weights()
        return net

    assert same(snapshot(build(sha256=right).columns.moco),
                snapshot(nets['moco']))
    with pytest.raises(ValueError, match=f'has the sha256 {right}, but 00 is'):
        build(sha256='00')
    with pytest.raises(RuntimeError, match=r'fit the column "moco"[\s\S]*set '
                       r'it by model\.backbone\.columns\.moco\.prefix'):
        build(prefix='encoder.')
    with pytest.raises(ValueError, match='"moco" of ConcatBackbone has no w'):
        build(checkpoint=None)(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match='did you mean checkpoint'):
        ConcatBackbone(dict(moco=dict(checkpont='x')), R18)
    with pytest.raises(ValueError, match='"a.b": use a name'):
        ConcatBackbone({'a.b': dict()}, R18)
    with pytest.raises(ValueError, match='is a list: write a dict'):
        ConcatBackbone([dict()], R18)
    with pytest.raises(ValueError, match='has no column'):
        ConcatBackbone(dict(moco=None), R18)
    with pytest.raises(ValueError, match='"moco" has no backbone'):
        ConcatBackbone(dict(moco=dict()))


def test_filling_by_a_word(parts, tmp_path):
    nets, paths = parts
    build = lambda: ConcatBackbone(  # noqa: E731
        {name: column(path) for name, path in paths.items()}, R18)
    net = build()
    told = fill_backbone(net, 'columns')
    digest = hashlib.sha256(open(paths['densecl'], 'rb').read()).hexdigest()
    assert f'densecl: {paths["densecl"]} (sha256 {digest[:16]})' in told
    assert same(snapshot(net.columns.densecl), snapshot(nets['densecl']))
    drawn, again = build(), build()
    for each in (drawn, again):
        assert 'randomly' in fill_backbone(each, 'random', seed=1)
    assert same(snapshot(drawn), snapshot(again))
    for name in paths:
        assert not torch.equal(drawn.columns[name].conv1.weight,
                               nets[name].conv1.weight)
    assert not torch.equal(drawn.columns.moco.conv1.weight,
                           drawn.columns.densecl.conv1.weight)
    with pytest.raises(ValueError, match='ResNet has no columns'):
        fill_backbone(MODELS.build(R18), 'columns')
    paths['moco'] = str(tmp_path / 'gone.pth')
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        fill_backbone(build(), 'columns')


# Progressive networks


def progressive(paths, **options):
    columns = {name: column(path) for name, path in paths.items()}
    options.setdefault('backbone', R18)
    net = ProgressiveBackbone(dict(columns, new=dict()), **options)
    net.init_weights()
    return net


def liven(net):
    """Give the adapters something to say."""
    for module in net.modules():
        if isinstance(module, LateralAdapter):
            nn.init.normal_(module.expand.weight, std=0.3)
    return net


def test_the_adapter_in_closed_form():
    adapter = LateralAdapter(dict(a=2, b=3), 4, hidden_channels=5, scale=0.5)
    a, b = torch.randn(2, 2, 3, 3), torch.randn(2, 3, 3, 3)
    assert not adapter(dict(a=a, b=b)).any()
    nn.init.normal_(adapter.expand.weight)
    nn.init.constant_(adapter.scales.b, -2.)
    with torch.no_grad():
        w = {key: value.flatten(1) for key, value in
             adapter.state_dict().items() if value.dim() == 4}
        hidden = (0.5 * torch.einsum('oc,nchw->nohw', w['reduce.a.weight'], a)
                  - 2 * torch.einsum('oc,nchw->nohw', w['reduce.b.weight'],
                                     b)).clamp(min=0)
        want = torch.einsum('oc,nchw->nohw', w['expand.weight'], hidden)
    torch.testing.assert_close(adapter(dict(a=a, b=b)), want)
    adapter.init_weights()
    assert not adapter.expand.weight.any()
    small = LateralAdapter(dict(a=2), 4, zero_init=False, scale=0.01)
    small.init_weights()
    assert small.expand.weight.abs().min() > 0


@pytest.mark.parametrize('kind, cfg, shape', [
    ('image', R18, (2, 3, 64, 64)), ('sound', OMNI, (2, 2, 65, 49))])
def test_it_starts_as_the_plain_backbone(kind, cfg, shape):
    net = progressive(dict(a='random', b='random'), backbone=cfg).train()
    plain = copy.deepcopy(net.columns.new)
    x = torch.randn(shape)
    outputs = net(x)
    for got, want in zip(outputs, plain(x)):
        assert torch.equal(got, want)
    # The statistics of its norms, too; and other adapters change it.
    assert same(snapshot(net.columns.new), snapshot(plain))
    assert not torch.allclose(liven(net)(x)[-1], outputs[-1])
    steps = list(steps_of(plain).names)
    assert list(net.adapters.new) == steps[1:]
    assert net.num_stages == len(steps) - (kind == 'image')


def test_values_by_hand(parts):
    """Two columns, written out for a ResNet."""
    _, paths = parts
    net = liven(progressive(dict(moco=paths['moco']))).eval()
    old, new = net.columns.moco, net.columns.new
    lateral = net.adapters.new
    x = torch.randn(1, 3, 64, 64)

    def stem(column):
        return column.maxpool(torch.relu(column.bn1(column.conv1(x))))

    with torch.no_grad():
        a, b, want = stem(old), stem(new), []
        for step in ('layer1', 'layer2', 'layer3', 'layer4'):
            b = getattr(new, step)(b + lateral[step](dict(moco=a)))
            a = getattr(old, step)(a)
            want.append(b)
        got = net(x)
        assert torch.equal(got[0], want[1]) and torch.equal(got[1], want[3])
        net.everything = True
        both = net(x)
        for all_maps, own, other in zip(both, got, old(x)):
            assert torch.equal(all_maps, torch.cat([other, own], 1))
        assert output_channels(net) == (32, 128)


def train(net, shape=(2, 3, 64, 64), steps=3):
    net.train()
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(shape))[-1].mean().backward()
        optimizer.step()


@pytest.mark.parametrize('cfg, shape', [
    (R18, (2, 3, 64, 64)), (OMNI, (2, 2, 65, 49))])
def test_only_the_last_column_and_its_adapters_learn(cfg, shape):
    net = ProgressiveBackbone(
        dict(a=column('random'), b=column('random', laterals=True), c=dict()),
        cfg)
    net.init_weights()
    liven(net)
    before = snapshot(net)
    train(net, shape)
    frozen = ('columns.a.', 'columns.b.', 'adapters.b.')
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]) is key.startswith(frozen), key
    for key, parameter in net.named_parameters():
        assert (parameter.grad is None) is key.startswith(frozen), key
        assert parameter.requires_grad is not key.startswith(frozen), key
    assert not any(module.training for name in 'ab'
                   for module in net.columns[name].modules())
    assert net.columns.c.training


def test_recomputation_changes_nothing():
    net = liven(progressive(dict(a='random'))).train()
    other = copy.deepcopy(net)
    recompute(other, ['columns.new.layer1', 'columns.new.layer3'])
    x = torch.randn(2, 3, 64, 64)
    for each in (net, other):
        each(x)[-1].square().sum().backward()
    for mine, theirs in zip(net.parameters(), other.parameters()):
        assert mine.grad is theirs.grad is None or torch.equal(
            mine.grad, theirs.grad)
    assert same(snapshot(net), snapshot(other))


def test_with_frozen_false_all_columns_learn():
    net = liven(progressive(dict(a='random'), frozen=False))
    before = snapshot(net)
    train(net)
    # Its last stage is read by nobody.
    still = 'columns.a.layer4'
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]) is key.startswith(still), key


@pytest.mark.parametrize('output', ['last', 'all'])
def test_every_parameter_that_learns_gets_a_gradient(output):
    """DDP waits for all of them."""
    net = liven(ProgressiveBackbone(
        dict(a=column('random'), b=column('random', laterals=True), c=dict()),
        R18, output=output, frozen=False)).train()
    sum(x.square().sum() for x in net(torch.randn(2, 3, 64, 64))).backward()
    for name, parameter in net.named_parameters():
        assert (parameter.grad is not None) is parameter.requires_grad, name
    idle = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert bool(idle) is (output == 'last')


def test_adapters_that_no_output_needs_have_no_gradient():
    net = progressive(dict(a='random'), backbone=dict(R18, out_indices=(1, )))
    idle = [name for name, p in net.adapters.named_parameters()
            if not p.requires_grad]
    assert {name.split('.')[1] for name in idle} == {'layer3', 'layer4'}


def test_progressive_says_what_is_wrong(parts):
    _, paths = parts
    with pytest.raises(ValueError, match="output='first': set it to one of"):
        ProgressiveBackbone(dict(a=dict()), R18, output='first')
    with pytest.raises(ValueError, match='different stages .a: conv1'):
        ProgressiveBackbone(dict(a=dict(backbone=OMNI), b=dict()), R18)
    with pytest.raises(ValueError, match='"a" and "b" .* sizes at layer3 '
                       r'\(4x4 and 8x8 for 64x64\)'):
        ProgressiveBackbone(
            dict(a=dict(backbone=R18), b=dict(
                backbone=dict(R18, strides=(1, 2, 1, 2)))), R18)
    with pytest.raises(ValueError, match='"a" is the first column'):
        ProgressiveBackbone(dict(a=dict(laterals=True), b=dict()), R18)
    net = ProgressiveBackbone(dict(a=dict(), b=dict()), R18)
    net.init_weights()
    with pytest.raises(ValueError, match='"a" of Prog.* has no weights'):
        net(torch.randn(1, 3, 64, 64))
    # A plain file has no adapters.
    net = ProgressiveBackbone(
        dict(a=column(paths['moco']),
             b=column(paths['densecl'], laterals=True), c=dict()), R18)
    with pytest.raises(RuntimeError, match='not fit the column "b"'):
        net.init_weights()


# A run in stages, and what comes after it


def stage_model(overrides):
    task = dict(
        type='mmmultissl.MoCoV2Task',
        neck=dict(type='mmpretrain.MoCoV2Neck', in_channels=64,
                  hid_channels=8, out_channels=8, with_avg_pool=True),
        queue_len=8, feat_dim=8, momentum=0.5,
        loss=dict(type='mmmultissl.InfoNCE', temperature=0.2))
    cfg = dict(backbone=R18, tasks=dict(moco=task), shuffle_bn=False)
    model = dict(cfg, **overrides.get('model', {}))
    model['backbone'] = {key: value for key, value in model['backbone'].items()
                         if key != '_delete_'}
    model = MultiSSL(**model)
    model.init_weights()
    return disturb_new(model)


def disturb_new(model):
    trained = model.backbone
    if isinstance(trained, ProgressiveBackbone):
        liven(trained.adapters[trained.newest])
    return model


def train_model(model, steps=2):
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1)
    for _ in range(steps):
        views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
        optimizer.zero_grad()
        sum(value for key, value in model.loss(views).items()
            if 'loss' in key).backward()
        optimizer.step()


def test_stages_of_a_progressive_network(tmp_path):
    """Three stages: each column equals what its own run has left."""
    backbone, finished, left = dict(R18, out_indices=(3, )), {}, {}
    for name in ('a', 'b', 'c'):
        overrides = progressive_overrides(finished, backbone, name)
        assert (name == 'a') is (overrides == {})
        model = stage_model(overrides or dict(model=dict(backbone=backbone)))
        before = snapshot(model.backbone)
        train_model(model)
        after = snapshot(model.backbone)
        for key in after:
            parts = key.split('.')
            frozen = name != 'a' and parts[1] != name
            assert torch.equal(after[key], before[key]) is frozen, key
        path = tmp_path / f'{name}.pth'
        torch.save(dict(state_dict=model.state_dict()), path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        finished[name] = dict(checkpoint=str(path), sha256=sha256)
        left[name] = after
    for key, value in left['a'].items():
        assert torch.equal(left['c'][f'columns.a.{key}'], value)
    for key, value in left['b'].items():
        assert torch.equal(left['c'][key], value)

    # Downstream: the same config, one file, none of the columns'.
    cfg = dict(overrides['model']['backbone'])
    cfg.pop('_delete_')
    cfg['columns'] = {name: dict(each, checkpoint=None) for name, each in
                      cfg['columns'].items()}
    cfg['columns']['c'] = dict()
    for kind in ('mmpretrain.ResNet', 'mmdet.ResNet'):
        cfg['init_cfg'] = dict(type='Pretrained', prefix='backbone.',
                               checkpoint=finished['c']['checkpoint'])
        cfg['backbone'] = dict(backbone, type=kind)
        net = MODELS.build(cfg)
        check_pretrained(net)
        net.init_weights()
        assert same(snapshot(net), left['c'])
        x = torch.randn(2, 3, 64, 64)
        assert torch.equal(net.eval()(x)[0], model.backbone.eval()(x)[0])
    # In another order the names do not fit.
    swapped = progressive_overrides(
        {name: finished[name] for name in ('b', 'a')}, backbone, 'd')
    swapped = {key: value for key, value in
               swapped['model']['backbone'].items() if key != '_delete_'}
    with pytest.raises(RuntimeError, match='does not fit the column'):
        MODELS.build(swapped).init_weights()
    with pytest.raises(ValueError, match='"a" would be a column beside'):
        progressive_overrides(finished, backbone, 'a')


def test_the_ema_trunk_shares_frozen_columns(tmp_path):
    backbone = dict(R18, out_indices=(3, ))
    path = save(disturb(MODELS.build(backbone)), tmp_path / 'a.pth')
    model = stage_model(progressive_overrides(dict(a=path), backbone, 'b'))
    ema = model.momentum.ema0.backbone
    for mine, theirs in zip(model.backbone.columns.a.parameters(),
                            ema.columns.a.parameters()):
        assert mine is theirs
    assert model.backbone.columns.b is not ema.columns.b
    initial = snapshot(model.backbone)
    train_model(model, 1)
    first = snapshot(model.backbone)
    for key, parameter in ema.named_parameters():  # a copy, before the step
        assert torch.equal(parameter, initial[key]), key
    train_model(model, 1)
    # Momentum 0.5: half way from the copy to what was trained.
    for key in ('columns.b.conv1.weight', 'adapters.b.layer2.expand.weight'):
        torch.testing.assert_close(
            ema.state_dict()[key], (initial[key] + first[key]) / 2)
    frozen = [key for key in initial if key.startswith('columns.a')]
    assert all(torch.equal(initial[key], model.backbone.state_dict()[key])
               for key in frozen)
    # A cosine's update would spoil what is its own source.
    cosine = copy.deepcopy(model)
    cosine.momentum.ema0.schedule = type(model.momentum.ema0.schedule)(
        0.5, 0.25)
    train_model(cosine, 2)
    assert all(torch.equal(initial[key], cosine.backbone.state_dict()[key])
               for key in frozen)
    # A saved run fills another one.
    other = stage_model(progressive_overrides(
        dict(a=str(tmp_path / 'gone.pth')), backbone, 'b'))
    mismatch = load_and_compare(other, model.state_dict())
    assert not any(mismatch)
    assert same(snapshot(other), snapshot(model))
    train_model(other, 1)


def test_concat_overrides(parts):
    nets, paths = parts
    cfg = dict(R18, init_cfg=dict(type='Pretrained', checkpoint=None))
    made = concat_overrides(
        dict(moco=paths['moco'], densecl=dict(checkpoint=paths['densecl'],
                                              sha256=None)), cfg, frozen=False)
    backbone = made['model']['backbone']
    assert backbone.pop('_delete_')
    net = MODELS.build(backbone)
    net.init_weights()
    assert not net.frozen and 'init_cfg' in cfg
    assert same(snapshot(net.columns.densecl), snapshot(nets['densecl']))
    with pytest.raises(ValueError, match='no checkpoint to concatenate'):
        concat_overrides({}, R18)


# Several processes


def progressive_model():
    torch.manual_seed(0)
    backbone = dict(
        type='mmmultissl.ProgressiveBackbone',
        backbone=golden.BN_FREE_TRUNK,
        columns=dict(a=column('random'), b=dict()))
    model = golden.build(dict(moco=golden.moco_task()), backbone)
    model.data_preprocessor = Untouched()
    liven(model.backbone)
    return model.double().train()


def one_of_two(rank, port, folder):
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    model = progressive_model()
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    half = BATCH // 2
    train_rows(wrapped, 3, rank * half, (rank + 1) * half)
    torch.save(model.state_dict(), folder / f'{rank}.pth')
    leave_processes()


def test_two_processes_equal_one(tmp_path):
    mp.spawn(one_of_two, (free_port(), tmp_path), nprocs=2)
    model = progressive_model()
    before = snapshot(model)
    train_rows(model, 3, 0, BATCH)
    for rank in range(2):
        state = torch.load(tmp_path / f'{rank}.pth')
        for key, value in model.state_dict().items():
            if torch.is_tensor(value):
                torch.testing.assert_close(
                    state[key], value, rtol=0, atol=1e-10)
    assert not torch.equal(
        before['backbone.adapters.b.layer2.reduce.a.weight'],
        model.backbone.adapters.b.layer2.reduce.a.weight)
