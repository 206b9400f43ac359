# Copyright (c) mmmultissl contributors. All rights reserved.
"""The demo's configs: equal but for their tasks, and one trunk for all."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmmultissl.engine  # noqa: F401

DEMO = Path(__file__).parents[2] / 'configs' / 'demo'
BOTH = 'multissl_densecl_r18_demo.py'


@pytest.mark.parametrize('alone, left_out', [('moco', 'densecl'),
                                             ('densecl', 'moco')])
def test_runs_differ_in_their_tasks_alone(alone, left_out):
    both = Config.fromfile(DEMO / BOTH).to_dict()
    one = Config.fromfile(DEMO / f'{alone}_r18_demo.py').to_dict()
    assert one['model']['tasks'][left_out] is None
    one['model']['tasks'][left_out] = both['model']['tasks'][left_out]
    assert one == both


def test_the_detector_takes_the_pretrained_trunk(monkeypatch):
    pytest.importorskip('mmcv._ext', reason='mmdet needs the compiled mmcv')
    pytest.importorskip('mmdet')
    monkeypatch.delenv('BACKBONE', raising=False)

    def shapes(module):
        return {
            key: tuple(value.shape)
            for key, value in module.state_dict().items()
        }

    cfg = Config.fromfile(DEMO / 'faster-rcnn_r18_fpn_demo.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        cfg.model.backbone.init_cfg = None
        detector = MODELS.build(cfg.model)
    trunk = Config.fromfile(DEMO / BOTH).model.backbone
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pretrained = MODELS.build(trunk)
    assert shapes(detector.backbone) == shapes(pretrained)
