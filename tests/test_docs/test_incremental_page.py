# Copyright (c) mmmultissl contributors. All rights reserved.
"""What docs/incremental.md shows is so."""
import re
from pathlib import Path

from mmengine.config import Config

from mmmultissl.engine.stages import expand_stages
from mmmultissl.engine.stages.progress import overview
from mmmultissl.engine.stages.spec import _SPEC_KEYS, _START

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'docs/incremental.md').read_text()


def test_the_config_shown_expands(tmp_path):
    text, = re.findall(r'```python\n(.*?)```', PAGE, re.S)
    (tmp_path / 'own.py').write_text(
        text.replace('../multissl', f'{ROOT}/configs/multissl'))
    first, second = expand_stages(
        Config.fromfile(tmp_path / 'own.py'), '/run')
    assert (first.updates, second.updates) == (2500, 2500)
    assert second.cfg.optim_wrapper.optimizer.lr == 0.005
    assert first.cfg.optim_wrapper.optimizer.lr == 0.0075
    assert set(second.cfg.model.tasks) == {'densecl', 'remember'}


def test_the_budget_shown_is_printed():
    name = 'incremental_moco-densecl_euclidean_resnet18_1xb64_voc07-96px'
    cfg = Config.fromfile(ROOT / 'configs' / 'incremental' / f'{name}.py')
    lines = overview(expand_stages(cfg, '/run'), f'/…/work_dirs/{name}')
    for line in lines.splitlines():
        assert f'    {line}\n' in PAGE
    assert f'tools/train.py configs/incremental/{name}.py' in PAGE


def test_the_table_has_every_key():
    rows = re.findall(r'^\| `(\w+)` \| (.*)$', PAGE, re.M)
    assert [key for key, _ in rows] == list(_SPEC_KEYS)
    for key in _START:
        assert f'`{key}=' in dict(rows)['start']


def test_links_and_names():
    for link in re.findall(r'\]\(([\w/.]+)\)', PAGE):
        assert (ROOT / 'docs' / link).is_file(), link
    for file in re.findall(r'`(tests/[\w/.]+)`', PAGE):
        assert (ROOT / file).is_file(), file
