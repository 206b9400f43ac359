# Copyright (c) mmmultissl contributors. All rights reserved.
"""Plain content, all-or-nothing writing, and complete transfer."""
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections import OrderedDict, deque

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from torch import nn

from mmmultissl.engine.checkpoint import (BrokenCheckpointError,
                                          check_pretrained,
                                          find_latest_complete,
                                          load_and_compare, load_pretrained,
                                          restore_histories, save_atomically,
                                          save_checkpoint, state_dict_of,
                                          to_plain, write_text_atomically)

ROOT = pathlib.Path(__file__).parents[2]

# Plain types


def test_plain_types_need_no_allow_list(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    given = dict(
        state_dict=model.state_dict(),
        parameter=model[0].weight,
        number=np.float32(0.5),
        flag=np.bool_(True),
        array=np.arange(3),
        words=np.array(['a', 'b']),
        config=ConfigDict(a=ConfigDict(b=1)),
        pair=(1, np.int64(2)),
        queue=deque([1, 2], 2),
        path=pathlib.Path('a/b'),
        names={'a'},
        history=HistoryBuffer([1., 2.], [1, 3]))
    save_checkpoint(given, tmp_path / 'a.pth')
    read = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert read['number'] == 0.5 and type(read['number']) is float
    assert read['flag'] is True
    assert read['array'].tolist() == [0, 1, 2]
    assert read['words'] == ['a', 'b']
    assert read['config'] == dict(a=dict(b=1))
    assert read['pair'] == (1, 2) and read['queue'] == [1, 2]
    assert read['path'] == os.path.join('a', 'b') and read['names'] == {'a'}
    assert type(read['parameter']) is torch.Tensor
    assert not read['parameter'].requires_grad
    assert read['history']['count_history'].tolist() == [1, 3]
    # torch's module versions stay with the weights.
    assert read['state_dict']._metadata['1']['version'] == 2
    for key, value in model.state_dict().items():
        assert torch.equal(read['state_dict'][key], value)


def test_what_has_no_plain_form_is_named():
    with pytest.raises(
            TypeError, match=r'store meta\.hooks\[1\], which is a .*function'):
        to_plain(dict(hooks=[1, test_what_has_no_plain_form_is_named]), 'meta')


def test_histories_come_back():
    history = HistoryBuffer([1., 2.5], [1, 3], max_length=7)
    hub = dict(log_scalars={'loss': history}, runtime_info={}, resumed_keys={})
    back = restore_histories(to_plain(hub))['log_scalars']['loss']
    assert isinstance(back, HistoryBuffer) and back.max_length == 7
    assert back.data[0].tolist() == [1., 2.5]
    assert back.data[1].tolist() == [1, 3]
    back.update(3.)
    assert back.current() == 3.


# All or nothing


class Killed(BaseException):
    """Stands for what ends a process; no handler catches it."""


def _content(value, size=10):
    return dict(
        meta=dict(iter=value), state_dict={'a': torch.full((size, ), value)})


def _value(path):
    return torch.load(path, weights_only=True)['meta']['iter']


def test_a_save_that_dies_while_writing_leaves_the_old(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_atomically(_content(1), path)

    def die(content, file):
        file.write(b'half of it')
        raise Killed

    monkeypatch.setattr(torch, 'save', die)
    with pytest.raises(Killed):
        save_atomically(_content(2), path)
    assert _value(path) == 1


def test_a_save_that_dies_before_the_rename_leaves_the_old(
        tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    save_atomically(_content(1), path)
    write_text_atomically('old', tmp_path / 'last_checkpoint')

    def die(*_):
        raise Killed

    monkeypatch.setattr(os, 'replace', die)
    with pytest.raises(Killed):
        save_atomically(_content(2), path)
    with pytest.raises(Killed):
        write_text_atomically('new', tmp_path / 'last_checkpoint')
    assert _value(path) == 1
    assert (tmp_path / 'last_checkpoint').read_text() == 'old'


def test_the_content_is_on_the_disk_before_the_rename(tmp_path, monkeypatch):
    calls = []
    for name in ('fsync', 'replace'):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name:
            (calls.append(name), real(*a))[1])
    save_atomically(_content(1), tmp_path / 'a.pth')
    assert calls == ['fsync', 'replace', 'fsync']


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='was not written .*make room'):
        save_atomically(_content(1), tmp_path / 'a.pth')
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_is_ignored_and_removed(tmp_path):
    (tmp_path / '.iter_9.pth.partial').write_bytes(b'half of it')
    assert find_latest_complete(tmp_path) is None
    save_atomically(_content(1), tmp_path / 'iter_1.pth')
    assert os.listdir(tmp_path) == ['iter_1.pth']


_SAVER = """
import sys, itertools, torch
from mmmultissl.engine.checkpoint import (save_atomically,
                                          write_text_atomically)
folder = sys.argv[1]
for step in itertools.count(1):
    path = f'{folder}/iter_{step % 2}.pth'
    content = dict(meta=dict(iter=step), state_dict=dict(
        a=torch.full((300_000, ), step)))
    save_atomically(content, path)
    write_text_atomically(path, f'{folder}/last_checkpoint')
    print(step, flush=True)
"""


def test_killing_the_process_never_leaves_a_broken_checkpoint(tmp_path):
    for turn in range(4):
        saver = subprocess.Popen([sys.executable, '-c', _SAVER, str(tmp_path)],
                                 stdout=subprocess.PIPE, text=True, cwd=ROOT)
        # It has saved at least once; before that, imports may print.
        while not saver.stdout.readline().strip().isdigit():
            assert saver.poll() is None
        time.sleep(0.017 * turn)
        saver.send_signal(signal.SIGKILL)
        said = [1] + [int(line) for line in saver.stdout if line.strip()]
        saver.wait()
        saver.stdout.close()
        latest = find_latest_complete(tmp_path)
        assert latest == (tmp_path / 'last_checkpoint').read_text()
        content = torch.load(latest, weights_only=True)
        step = content['meta']['iter']
        assert said[-1] <= step <= said[-1] + 1
        assert (content['state_dict']['a'] == step).all()


# The newest complete checkpoint


@pytest.fixture
def run(tmp_path):
    """Two checkpoints and a pointer to the newer."""
    for step in (1, 2):
        path = tmp_path / f'iter_{step}.pth'
        save_atomically(_content(step, 1000), path)
        os.utime(path, (step, step))
    save_atomically(_content(3), tmp_path / 'best_mAP_iter_3.pth')
    write_text_atomically(str(path), tmp_path / 'last_checkpoint')
    return tmp_path


def test_latest_is_the_named_one(run):
    assert find_latest_complete(run) == str(run / 'iter_2.pth')
    write_text_atomically(str(run / 'iter_1.pth'), run / 'last_checkpoint')
    assert find_latest_complete(run) == str(run / 'iter_1.pth')


@pytest.mark.parametrize('pointer', ['', 'gone/iter_7.pth', None])
def test_latest_without_a_valid_pointer(run, pointer):
    (run / 'last_checkpoint').unlink()
    if pointer is not None:
        (run / 'last_checkpoint').write_text(pointer)
    assert find_latest_complete(run) == str(run / 'iter_2.pth')


def _cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('damage', [_cut, _flip, pathlib.Path.unlink])
def test_latest_passes_over_a_damaged_one(run, damage, monkeypatch):
    told = []
    monkeypatch.setattr('mmmultissl.engine.latest.print_log',
                        lambda text, **_: told.append(text))
    damage(run / 'iter_2.pth')
    assert find_latest_complete(run) == str(run / 'iter_1.pth')
    assert 'Resuming from' in told[-1] and 'iter_1.pth' in told[-1]


def test_latest_of_a_moved_folder(run, tmp_path):
    moved = run.rename(tmp_path.parent / (tmp_path.name + '_moved'))
    write_text_atomically(str(run / 'iter_1.pth'), moved / 'last_checkpoint')
    assert find_latest_complete(moved) == str(moved / 'iter_1.pth')


def test_nothing_complete_is_an_error(run):
    for step in (1, 2):
        _cut(run / f'iter_{step}.pth')
    with pytest.raises(BrokenCheckpointError, match='None of the 2 checkp'):
        find_latest_complete(run)


# Transfer


class Net(BaseModule):

    def __init__(self, width=3, init_cfg=None):
        super().__init__(init_cfg)
        self.conv = nn.Conv2d(1, width, 1)
        self.norm = nn.BatchNorm2d(width)


def _file(folder, weights, prefix='backbone.', **more):
    path = folder / 'pretrained.pth'
    weights = {prefix + key: value for key, value in weights.items()}
    torch.save(dict(state_dict={**weights, **more}), path)
    return str(path)


def test_transfer_is_complete_and_equal(tmp_path):
    source, target = Net(), Net()
    more = {'tasks.moco.w': torch.rand(1), 'backbone.fc.weight': torch.rand(1)}
    path = _file(tmp_path, source.state_dict(), **more)
    load_pretrained(target, path, 'backbone.')
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key


def test_foreign_files_may_lack_the_batch_counter(tmp_path):
    weights = Net().state_dict()
    del weights['norm.num_batches_tracked']
    load_pretrained(Net(), _file(tmp_path, weights), 'backbone')


def test_renamed_and_resized_keys_are_named(tmp_path):
    weights = Net(width=4).state_dict()
    weights['norm.gamma'] = weights.pop('norm.weight')
    del weights['norm.running_var']
    with pytest.raises(RuntimeError) as error:
        load_pretrained(Net(), _file(tmp_path, weights), 'backbone.')
    told = str(error.value)
    assert '2 not in the file: norm.weight, norm.running_var' in told
    assert 'conv.weight (file [4, 1, 1, 1], model [3, 1, 1, 1])' in told
    assert told.splitlines()[-1].startswith('The keys of the file start with')


@pytest.mark.parametrize('stored, given', [('encoder.trunk.', 'backbone.'),
                                           ('backbone.', None),
                                           ('', 'backbone.')])
def test_a_wrong_prefix_tells_the_right_one(tmp_path, stored, given):
    path = _file(tmp_path, Net().state_dict(), stored)
    with pytest.raises(RuntimeError, match=f'with prefix={stored!r}: set it'):
        load_pretrained(Net(), path, given)


def test_the_wrapper_of_ddp_is_taken_off(tmp_path):
    path = _file(tmp_path, Net().state_dict(), 'module.backbone.')
    load_pretrained(Net(), path, 'backbone.')


def test_pretrained_modules_of_a_model(tmp_path):
    path = _file(tmp_path, Net().state_dict())
    init = dict(type='Pretrained', checkpoint=None, prefix='backbone.')
    model = nn.ModuleDict(dict(net=Net(init_cfg=init)))
    with pytest.raises(ValueError, match='net is to start .* none is named'):
        check_pretrained(model)
    check_pretrained(model, path)
    assert model['net'].init_cfg['checkpoint'] == path
    model = nn.ModuleDict(dict(net=Net(4, init_cfg=dict(init))))
    with pytest.raises(RuntimeError, match='does not fit net'):
        check_pretrained(model, path)
    check_pretrained(model, path, strict=False)


def test_modules_may_convert_what_they_load():

    class Renaming(Net):

        def _load_from_state_dict(self, state_dict, prefix, *args):
            for key in list(state_dict):
                if 'gamma' in key:
                    state_dict[key.replace('gamma', 'weight')] = (
                        state_dict.pop(key))
            super()._load_from_state_dict(state_dict, prefix, *args)

    source, target = Net(), Renaming()
    weights = OrderedDict(source.state_dict())
    weights['norm.gamma'] = weights.pop('norm.weight') + 1
    assert load_and_compare(target, weights) == ([], [], [])
    assert torch.equal(target.norm.weight, source.norm.weight + 1)


def test_no_weights_at_all():
    with pytest.raises(TypeError, match='a list and no state_dict'):
        state_dict_of([1], source='a.pth')
