# Copyright (c) mmmultissl contributors. All rights reserved.
"""The benchmark of the data pipeline and what docs/input.md shows."""
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope

ROOT = Path(__file__).parents[2]
CONFIG = 'multissl/moco_resnet18_1xb64-coslr-100e_folder-96px.py'


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        image = np.random.randint(0, 256, (30, 40, 3), np.uint8)
        cv2.imwrite(
            str(tmp_path / f'{number}.jpg'), cv2.resize(image, (320, 240)))
    return tmp_path


@pytest.mark.slow
def test_all_contenders_run(folder, tmp_path):
    out = tmp_path / 'out.json'
    command = [
        sys.executable, 'tools/benchmarks/data_time.py', f'configs/{CONFIG}',
        '--data-root', folder, '--rounds', '1', '--batch-size', '2',
        '--workers', '0', '1', '--enlarge', '200', '150', '--out', out
    ]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, check=True, capture_output=True,
        text=True)
    figures = Config.fromfile(out)
    for workers in ('0', '1'):
        table = figures.tables[workers]
        assert {'mmpretrain', 'ours', 'ours, deferred'} <= set(table)
        assert table.mmpretrain.wall_ratio == 1
        assert all(row.images_per_second > 0 for row in table.values())
    assert figures.setting.images == 6
    assert figures.setting.enlarge == [200, 150]
    assert 'x mmpretrain' in done.stdout


def snippets():
    """The configs that the page shows, by their number."""
    text = (ROOT / 'docs/input.md').read_text()
    found = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    assert len(found) == 2
    return found


@pytest.mark.parametrize('number, name', enumerate(['reduced', 'deferred']))
def test_the_pages_configs_train_views(number, name, folder, tmp_path):
    file = tmp_path / 'child.py'
    file.write_text(snippets()[number].replace(
        'mmmultissl::', f'{ROOT}/configs/'))
    cfg = Config.fromfile(file)
    cfg.train_dataloader.dataset.data_root = str(folder)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(cfg.train_dataloader.dataset)
        MODELS.build(cfg.data_preprocessor)
    sample = data[0]
    assert [tuple(v.shape) for v in sample['inputs']] == [(3, 96, 96)] * 2
    assert ('drawn' in sample) == (name == 'deferred')
    if name == 'reduced':
        load = data.pipeline.transforms[0]
        # 640 x 480 is COCO's size: the smallest crop has 214 pixels.
        big = np.zeros((480, 640, 3), np.uint8)
        cv2.imwrite(str(folder / 'big.jpg'), big)
        image = load(dict(img_path=str(folder / 'big.jpg')))
        assert image['img'].shape == (240, 320, 3)
