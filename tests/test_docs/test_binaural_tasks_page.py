# Copyright (c) mmmultissl contributors. All rights reserved.
"""The configs that docs/binaural_tasks.md shows build, and what it names is
there."""
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmmultissl  # noqa: F401
from mmmultissl.models import (ForegroundAlignmentTask, SpatialAlignmentTask,
                               TemporalGapTask)

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'binaural_tasks.md').read_text()
HEADINGS, ADAPTER, MOCO = re.findall(r'```python\n(.*?)```', PAGE, re.S)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def build(text, tmp_path):
    file = tmp_path / 'child.py'
    file.write_text(text)
    cfg = Config.fromfile(file)
    return cfg, MODELS.build(cfg.model)


def test_variants(tmp_path):
    cfg, model = build(HEADINGS, tmp_path)
    spatial, foreground, gap = model.tasks.values()
    assert spatial.variant == 'heading'
    assert spatial.query_views == ('rotated', )
    assert foreground.temperature == 0.1
    data = cfg.train_dataloader.dataset
    assert gap.head.out[-1].out_features == 2 * data.max_gap
    assert 0 in data.rotations


def test_image_backbone(tmp_path):
    _, model = build(ADAPTER, tmp_path)
    assert model.backbone.backbone.conv1.in_channels == 2
    assert model.backbone.backbone.feat_dim == 512


def test_contrast(tmp_path):
    _, model = build(MOCO, tmp_path)
    assert set(model.tasks) == {'gap', 'moco'}
    assert model.shuffle_bn and 'ema0' in model.momentum


def test_tables_name_what_there_is():
    for task in (SpatialAlignmentTask, ForegroundAlignmentTask,
                 TemporalGapTask):
        # Its rows: from its name to the next one, or to the table's end.
        rows = PAGE.split(f'| `{task.__name__}`')[1].split('\n\n')[0]
        rows = re.split(r'^\| `', rows, flags=re.M)[0]
        found = re.findall(r'^(?:\|)? \| `(\w+)` \|', rows, re.M)
        assert tuple(found) == task.variants
    for name in re.findall(r'configs/binaural/(\S+\.py)', PAGE):
        assert (ROOT / 'configs' / 'binaural' / name).is_file()
