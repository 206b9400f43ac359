# Copyright (c) mmmultissl contributors. All rights reserved.
"""What --resume makes of load_from, before and after the first checkpoint."""
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture
def begun_with(monkeypatch, tmp_path):
    """Call the tool and get the config that the runner would be built of."""
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location('train', TOOLS / 'train.py')
    tool = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'train', tool)
    spec.loader.exec_module(tool)
    built = []
    runner = type('Runner', (), dict(train=lambda self: None))
    monkeypatch.setattr(tool, 'build_runner',
                        lambda cfg: built.append(cfg) or runner())
    config = tmp_path / 'config.py'
    config.write_text("train_cfg = dict()\nload_from = 'start.pth'\n")

    def call(*words):
        tool.main([str(config), '--work-dir', str(tmp_path / 'work'), *words])
        return built[-1].get('resume', False), built[-1].load_from

    return call


def test_a_first_start_still_loads(begun_with, tmp_path):
    assert begun_with('--resume') == (False, 'start.pth')
    # Ctrl-C before anything was saved.
    (tmp_path / 'work').mkdir()
    assert begun_with('--resume') == (False, 'start.pth')
    assert begun_with() == (False, 'start.pth')
    assert begun_with('--resume', '--cfg-options', 'load_from=other.pth') == (
        False, 'other.pth')


def test_what_was_saved_is_gone_on_with(begun_with, tmp_path):
    (tmp_path / 'work').mkdir()
    torch.save(dict(meta=dict(iter=2)), tmp_path / 'work' / 'iter_2.pth')
    assert begun_with('--resume') == (True, None)
    assert begun_with('--resume', 'there.pth') == (True, 'there.pth')
