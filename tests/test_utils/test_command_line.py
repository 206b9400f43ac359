# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the flags of the tools make of a config."""
import argparse

import pytest
import torch
from mmengine.config import Config

from mmmultissl.engine.optim import Bf16OptimWrapper
from mmmultissl.utils import command_line


def config(scope='mmpretrain', **wrapper):
    return Config(
        dict(
            default_scope=scope,
            optim_wrapper=dict(
                dict(type='OptimWrapper', optimizer=dict(type='SGD')),
                **wrapper),
            train_dataloader=dict(num_workers=0, persistent_workers=True)))


@pytest.mark.parametrize('scope, cuda, bf16, expected', [
    ('mmpretrain', False, False, 'mmmultissl.Bf16OptimWrapper'),
    ('mmpretrain', True, True, 'mmmultissl.Bf16OptimWrapper'),
    ('mmpretrain', True, False, 'AmpOptimWrapper'),
    ('mmdet', True, True, 'AmpOptimWrapper'),
])
def test_mixed_precision_fits_the_device(monkeypatch, scope, cuda, bf16,
                                         expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported',
                        lambda including_emulation=True: bf16)
    cfg = config(scope)
    command_line.use_mixed_precision(cfg)
    assert cfg.optim_wrapper.type == expected
    assert ('loss_scale' in cfg.optim_wrapper) == (
        expected == 'AmpOptimWrapper')


def test_mixed_precision_of_a_detector_on_the_cpu_is_explained(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='leave --amp out for detection'):
        command_line.use_mixed_precision(config('mmdet'))


def test_a_wrapper_of_ones_own_stays():
    cfg = config(type='AmpOptimWrapper', loss_scale=512.)
    command_line.use_mixed_precision(cfg)
    assert cfg.optim_wrapper.to_dict() == dict(
        type='AmpOptimWrapper',
        loss_scale=512.,
        optimizer=dict(type='SGD'))


def test_bf16_wrapper_enters_autocast():
    layer = torch.nn.Linear(3, 3)
    wrapper = Bf16OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1))
    with wrapper.optim_context(layer):
        out = layer(torch.randn(2, 3))
    assert out.dtype == torch.bfloat16
    assert not torch.is_autocast_enabled('cpu')
    wrapper.update_params(out.float().sum())
    assert layer.weight.dtype == torch.float32


def test_workers_persist_only_where_there_are_some():
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    command_line.add_common_arguments(parser)
    args = command_line.parse(
        parser, ['a/b.py', '--cfg-options', 'train_dataloader.batch_size=3'])
    cfg = config()
    command_line.apply_common_arguments(cfg, args)
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.work_dir == 'work_dirs/b'
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'


def test_kept_memory_is_a_switch_of_the_c_library():
    import subprocess
    import sys
    code = (
        'from mmmultissl.utils.host_memory import keep_freed_memory as keep\n'
        'import resource, torch\n'
        'def faults():\n'
        '    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
        '    for _ in range(20): torch.empty(2**24).fill_(1)\n'
        '    after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
        '    return after - before\n'
        # The heap finds its shape within some tens of allocations.
        'mapped = faults(); done = keep(); faults(); faults()\n'
        'print(done, mapped, faults())')
    out = subprocess.run([sys.executable, '-c', code], check=True,
                         capture_output=True, text=True).stdout.split()
    if out[0] == 'False':
        pytest.skip('the C library is not glibc')
    assert int(out[2]) < int(out[1]) / 2


@pytest.mark.parametrize('text, value', [
    ('a/my images', 'a/my images'),
    ('"a/my images"', 'a/my images'),
    ('0.5', 0.5),
    ('None', None),
    ('[1, 2]', [1, 2]),
    ('[(a, b), (c, d)]', [('a', 'b'), ('c', 'd')]),
    ('a,b', ['a', 'b']),
])
def test_options_keep_blanks_in_paths(text, value):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    command_line.add_common_arguments(parser)
    args = command_line.parse(parser, ['c.py', '--cfg-options', f'x={text}'])
    assert args.cfg_options == dict(x=value)


def test_leaving_out_a_task_that_is_not_there_is_refused():
    cfg = Config(dict(model=dict(tasks=dict(moco=dict(), densecl=dict()))))
    command_line.check_left_out_tasks(cfg, {'model.tasks.moco': None})
    with pytest.raises(ValueError, match='its tasks are moco, densecl'):
        command_line.check_left_out_tasks(cfg, {'model.tasks.dens': None})


@pytest.mark.parametrize('name', [
    'mmmultissl::multissl/nope.py', 'mmmultissl::multissl_densecl_r50.py'])
def test_a_config_that_no_package_has(name):
    with pytest.raises(FileNotFoundError, match='No installed package has'):
        command_line.read_config(name)


def with_options(**options):
    cfg = Config(dict(
        data_root='a', model=dict(depth=1), train_cfg=dict(max_iters=1)))
    args = argparse.Namespace(
        launcher='none', work_dir='w', cfg_options=options,
        no_pin_memory=False)
    command_line.apply_common_arguments(cfg, args)
    return cfg


@pytest.mark.parametrize('key, hint', [
    ('optim_wraper.optimizer.lr', 'did you mean optim_wrapper'),
    ('zzz', 'Nobody reads zzz: Top-level keys')])
def test_an_option_that_nobody_reads_is_refused(key, hint):
    with pytest.raises(ValueError, match=hint):
        with_options(**{key: 1})


def test_a_task_left_out_in_a_file_must_be_inherited(tmp_path):
    (tmp_path / 'base.py').write_text(
        'model = dict(tasks=dict(moco=dict(type="A"), densecl=dict()))')
    child = tmp_path / 'child.py'
    child.write_text('_base_ = "base.py"\nmodel = dict(tasks=dict(moco=None))')
    assert command_line.read_config(str(child)).model.tasks == dict(
        moco=None, densecl=dict())
    grandchild = tmp_path / 'grandchild.py'
    grandchild.write_text('_base_ = ["child.py"]')
    assert command_line.read_config(str(grandchild)).model.tasks.moco is None
    # What a run writes down is whole, and leaves out what it left out.
    whole = tmp_path / 'whole.py'
    command_line.read_config(str(grandchild)).dump(str(whole))
    assert command_line.read_config(str(whole)).model.tasks == dict(
        moco=None, densecl=dict())
    child.write_text(
        '_base_ = "base.py"\nmodel = dict(tasks=dict(mocco=None))')
    with pytest.raises(
            ValueError, match='child.py leaves out the task "mocco" by None, '
            'but what it inherits has moco, densecl'):
        command_line.read_config(str(child))


def test_a_work_dir_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file/x cannot be made .*--work-dir'):
        command_line.build_runner(Config(dict(work_dir=str(
            tmp_path / 'file' / 'x'))))


def test_an_option_that_comes_too_late_is_refused():
    """A variable has been put where it belongs when options are applied."""
    with pytest.raises(ValueError, match='data_root has no effect'):
        with_options(data_root='b')


def test_options_that_somebody_reads_pass():
    cfg = with_options(**{
        'model.depth': 2, 'checkpoint': 'c', 'load_from': 'l',
        'randomness.seed': 3, 'train_cfg.max_iters': 4})
    assert (cfg.model.depth, cfg.checkpoint, cfg.load_from,
            cfg.randomness.seed, cfg.train_cfg.max_iters) == (
                2, 'c', 'l', 3, 4)
