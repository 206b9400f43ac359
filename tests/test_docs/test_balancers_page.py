# Copyright (c) mmmultissl contributors. All rights reserved.
"""What docs/balancers.md shows works, and its table names all there is."""
import re
from pathlib import Path

import torch
from mmengine.config import Config

from mmmultissl.models import balancers
from mmmultissl.models.balancers import Balancer, GradientBalancer
from mmmultissl.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / 'configs' / '_base_' / 'balancers'
PAGE = (ROOT / 'docs' / 'balancers.md').read_text()
CONFIG, OWN = re.findall(r'```python\n(.*?)```', PAGE, re.S)
ROWS = re.findall(r'^\| `(\w+)` \| `(\w+)` \|', PAGE, re.M)


def test_the_table_names_every_balancer_and_its_file():
    kinds = {
        name for name, cls in vars(balancers).items()
        if isinstance(cls, type) and issubclass(cls, Balancer)
    } - {'Balancer', 'LossBalancer', 'GradientBalancer'}
    assert {kind for kind, _ in ROWS} == kinds
    assert {file for _, file in ROWS} == {p.stem for p in FILES.glob('*.py')}
    for kind, file in ROWS:
        cfg = Config.fromfile(FILES / f'{file}.py').balancer
        assert cfg.pop('_delete_')
        assert cfg.type == f'mmmultissl.{kind}'
        assert type(MODELS.build(cfg)).__name__ == kind


def test_the_config_of_the_page(tmp_path):
    path = tmp_path / 'child.py'
    path.write_text(CONFIG)
    model = Config.fromfile(path).model
    model.balancer.pop('_scope_', None)
    assert model.balancer == dict(type='mmmultissl.PCGrad', seed=0)
    assert set(model.tasks) >= {'moco', 'densecl'}


def test_every_file_goes_with_a_shipped_config(tmp_path):
    parent = (ROOT / 'configs/multissl/multissl_moco-densecl_'
              'resnet18_1xb64-coslr-100e_folder-96px.py')
    for kind, file in ROWS:
        path = tmp_path / f'{file}_child.py'
        path.write_text(f'_base_ = [{str(parent)!r}, '
                        f'{str(FILES / file)!r} + ".py"]\n'
                        'model = dict(balancer=_base_.balancer)\n')
        cfg = Config.fromfile(path).model.balancer
        assert cfg.type == f'mmmultissl.{kind}'
        assert '_delete_' not in cfg and (
            kind == 'FixedWeights' or 'weights' not in cfg)


def test_uncertainty_brings_its_switch_along():
    cfg = Config.fromfile(
        ROOT / 'configs/multissl/multissl_moco-densecl_uncertainty_'
        'resnet18_1xb64-coslr-100e_folder-96px.py')
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys == {
        'balancer.log_variance': dict(decay_mult=0.)}
    assert cfg.optim_wrapper.optimizer.weight_decay > 0


def test_a_balancer_of_ones_own():
    names = {}
    exec(OWN, names)
    assert issubclass(names['LongestOnly'], GradientBalancer)
    balancer = MODELS.build(dict(type='mmmultissl.LongestOnly'))
    balancer.set_tasks(['a', 'b', 'c'])
    rows = torch.tensor([[1., 0.], [0., 3.], [2., 0.]])
    weights = balancer.combine(rows @ rows.t())
    assert weights.tolist() == [0., 1., 0.]
