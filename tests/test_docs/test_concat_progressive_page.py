# Copyright (c) mmmultissl contributors. All rights reserved.
"""What docs/concat_progressive.md shows works, and what it says is true."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, DefaultScope
from torch.utils.flop_counter import FlopCounterMode

import mmmultissl.engine  # noqa: F401
from mmmultissl.models import ConcatBackbone, ProgressiveBackbone

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'concat_progressive.md').read_text()
CONCAT, STAGE = re.findall(r'```python\n(.*?)```', PAGE, re.S)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def test_files_exist():
    names = set()
    for name in re.findall(r'configs/[\w/.{,}-]+\.py', PAGE):
        head, choices, tail = re.match(
            r'([^{]*)(?:{(.*)})?(.*)', name).groups()
        names |= {head + each + tail for each in (choices or '').split(',')}
    shipped = {
        str(path.relative_to(ROOT))
        for kind in ('concat', 'progressive')
        for path in ROOT.glob(f'configs/**/{kind}/*.py')}
    assert shipped <= names
    for name in names:
        assert (ROOT / name).is_file(), name
    for link in re.findall(r'\]\(([\w.]+\.md)\)', PAGE):
        assert (ROOT / 'docs' / link).is_file(), link


def test_the_backbone_shown():
    names = {}
    exec(CONCAT, names)
    net = MODELS.build(names['backbone'])
    assert type(net) is ConcatBackbone
    assert net.out_channels == (512 + 512 + 2048, )


def test_the_stage_shown(tmp_path):
    path = tmp_path / 'second.py'
    path.write_text(STAGE)
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    net = model.backbone
    assert type(net) is ProgressiveBackbone
    assert list(model.tasks) == ['densecl'] and cfg.model.recompute == []
    assert net.frozen_names == ['moco'] and net.newest == 'densecl'
    assert list(net.adapters.densecl) == ['layer1', 'layer2', 'layer3',
                                          'layer4']
    # A key that the page names.
    assert 'adapters.gap.layer2.reduce.moco.weight' in PAGE
    assert 'adapters.densecl.layer2.reduce.moco.weight' in net.state_dict()


def test_the_control_shown():
    text = re.search(r'python tools/train.py (\S+) --work-dir \S+ \\\n *'
                     r'--cfg-options (.*)', PAGE)
    cfg = Config.fromfile(ROOT / text.group(1))
    cfg.merge_from_dict({
        key: DictAction._parse_iterable(value) for key, value in
        (option.split('=') for option in text.group(2).split())})
    cfg.model.tasks.moco.queue_len = 8
    model = MODELS.build(cfg.model)
    losses = model.loss([torch.rand(4, 3, 64, 64) for _ in range(2)])
    assert torch.isfinite(losses['moco.loss'])


def cost(net, shape):
    net.eval()
    parameters = sum(each.numel() for each in net.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(shape))
    return parameters / 1e6, counter.get_total_flops() / 2e9


@pytest.mark.parametrize('row, cfg, shape, wide', [
    ('ResNet-18, 224 px', dict(type='mmpretrain.ResNet', depth=18),
     (1, 3, 224, 224), [dict(base_channels=width, stem_channels=width)
                        for width in (128, 90)]),
    pytest.param(
        'ResNet-50, 224 px', dict(type='mmpretrain.ResNet', depth=50),
        (1, 3, 224, 224), [dict(base_channels=width, stem_channels=width)
                           for width in (128, 90)], marks=pytest.mark.slow),
    ('OmniAudioNet, 16 channels, 257 x 201',
     dict(type='mmmultissl.OmniAudioNet', base_channels=16),
     (1, 2, 257, 201), [dict(base_channels=32), dict(base_channels=23)]),
])
def test_costs(row, cfg, shape, wide):
    line, = re.findall(rf'^\| {re.escape(row)} \| (.*) \|$', PAGE, re.M)
    said = [tuple(float(value.split()[0]) for value in cell.split(', '))
            for cell in line.split(' | ')]
    drawn = dict(checkpoint='random')
    nets = [
        MODELS.build(dict(cfg)),
        ConcatBackbone(dict(a=drawn, b=drawn), cfg),
        ProgressiveBackbone(dict(a=drawn, b=dict()), cfg),
        *(MODELS.build(dict(cfg, **each)) for each in wide)
    ]
    for net, numbers in zip(nets, said):
        for measured, number in zip(cost(net, shape), numbers):
            assert abs(measured / number - 1) < 0.005
