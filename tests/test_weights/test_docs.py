# Copyright (c) mmmultissl contributors. All rights reserved.
"""The commands and the code of docs/weights.md."""
import re
import shlex
from pathlib import Path

import pytest
import torch
from mmpretrain.models import ResNet

from mmmultissl.weights import export_backbone, write_weights
from mmmultissl.weights.layouts import LAYOUTS

from .test_import import IMAGES, tool

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'docs/weights.md').read_text(encoding='utf-8')


def test_commands():
    joined = TEXT.replace('\\\n', ' ')
    commands = re.findall(r'^    python tools/(\w+)\.py (.*)$', joined, re.M)
    assert [name for name, _ in commands] == [
        'import_weights', 'import_weights', 'train', 'export_weights',
        'export_weights'
    ]
    for name, words in commands:
        args = tool(name).parse_args(shlex.split(words))
        if args.config is not None:
            assert (ROOT / args.config).is_file()


def test_every_layout_is_in_the_table():
    assert set(re.findall(r'^\|[^|]*\| `(\w+)` \| ', TEXT, re.M)) >= set(
        LAYOUTS)


@pytest.mark.parametrize('module', ['torchvision', 'timm'])
def test_code(module, tmp_path, monkeypatch):
    pytest.importorskip(module)
    code, = (block for block in re.findall(r'```python\n(.*?)```', TEXT, re.S)
             if f'import {module}' in block)
    backbone = ResNet(50)
    weights, _ = export_backbone(backbone, module)
    write_weights(weights, {}, str(tmp_path / 'resnet50.pth'))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    backbone.eval()
    with torch.no_grad():
        expected = backbone(IMAGES)[-1].mean((2, 3))
        found = names['network'].eval()(IMAGES)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
