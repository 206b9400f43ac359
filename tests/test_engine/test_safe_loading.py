# Copyright (c) mmmultissl contributors. All rights reserved.
"""A malicious file is tried through every path; none may execute it."""
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mm

from mmmultissl.engine import safe_schemes
from mmmultissl.engine.checkpoint import (BrokenCheckpointError,
                                          UnsafeCheckpointError,
                                          install_safe_loading,
                                          load_checkpoint, load_pretrained,
                                          load_safely)

from .malicious import WRITERS, Trap, write_trap
from .small_run import Encoder, SmallModel, small_runner

ROOT = Path(__file__).parents[2]
OUR_SENTENCE = 'holds "(io|_io|builtins|__builtin__).open", which is not plain'


@pytest.fixture
def trap(tmp_path):
    """A malicious file, whose mark must not have appeared afterwards."""
    marker = tmp_path / 'executed'
    folder = tmp_path / 'run'
    folder.mkdir()
    yield write_trap(folder / 'iter_1.pth', marker)
    assert not marker.exists()


@pytest.mark.parametrize('how', WRITERS)
def test_the_trap_works_where_it_is_not_guarded(tmp_path, how):
    path = write_trap(tmp_path / 'a.pth', tmp_path / 'executed', how)
    try:
        torch.load(path, weights_only=False)
    except Exception:  # a bare pickle is no checkpoint, once it has run
        pass
    assert (tmp_path / 'executed').exists()


@pytest.mark.parametrize('how', WRITERS)
@pytest.mark.parametrize('load', [
    load_safely, load_checkpoint, CheckpointLoader.load_checkpoint,
    mm._load_checkpoint, mm.load_from_local
])
def test_loaders(tmp_path, how, load):
    path = write_trap(tmp_path / 'a.pth', tmp_path / 'executed', how)
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE) as error:
        load(path, map_location='cpu')
    assert path in str(error.value)
    assert not (tmp_path / 'executed').exists()


def test_an_open_file(trap):
    with open(trap, 'rb') as file:
        with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
            load_safely(file)


def test_the_environment_cannot_switch_it_off(trap, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        load_safely(trap)


def test_load_from(trap, tmp_path):
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        small_runner(tmp_path / 'new', load_from=trap).train()


def test_resume(trap, tmp_path):
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        small_runner(tmp_path / 'new', load_from=trap, resume=True).train()
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        small_runner(tmp_path / 'new').resume(trap)


@pytest.mark.parametrize('pointer', [True, False])
def test_automatic_resume(trap, pointer):
    folder = Path(trap).parent
    if pointer:
        (folder / 'last_checkpoint').write_text(trap)
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        small_runner(folder, resume=True).train()


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_pretrained(trap, tmp_path, prefix):
    init = dict(type='Pretrained', checkpoint=trap, prefix=prefix)
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        small_runner(tmp_path / 'new', SmallModel(init_cfg=init)).train()
    # Without our runner, as in a model built by a tool.
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        SmallModel(init_cfg=init).init_weights()
    with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
        load_pretrained(Encoder(), trap, prefix)


def test_resume_does_not_execute_the_config_of_old_files(tmp_path):
    runner = small_runner(tmp_path / 'run', iters=2)
    runner.train()
    checkpoint = torch.load(tmp_path / 'run/iter_2.pth', weights_only=True)
    marker = tmp_path / 'executed'
    checkpoint['meta']['config'] = f'open({str(marker)!r}, "w")\n'
    torch.save(checkpoint, tmp_path / 'run/iter_2.pth')
    small_runner(tmp_path / 'run', resume=True, iters=3).train()
    assert not marker.exists()


def test_download(trap, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file',
        lambda url, path, **_: Path(path).write_bytes(Path(trap).read_bytes()))
    zoo = {'resnet50': 'https://host.example/resnet50.pth'}
    for name in ('torchvision', 'external', 'mmcls'):
        monkeypatch.setattr(mm, f'get_{name}_models', lambda: zoo)
    for address in ('https://host.example/a.pth', 'torchvision://resnet50',
                    'modelzoo://resnet50', 'open-mmlab://resnet50',
                    'openmmlab://resnet50', 'mmcls://resnet50'):
        with pytest.raises(UnsafeCheckpointError, match=OUR_SENTENCE):
            CheckpointLoader.load_checkpoint(address)
    with pytest.raises(ValueError, match='not a checkpoint that torchvision'):
        CheckpointLoader.load_checkpoint('torchvision://nothing')


@pytest.mark.parametrize(
    'address', ['s3://a/b.pth', 'petrel://a/b.pth', 'pavi://a', 'mine://a'])
def test_other_addresses_are_refused(address):
    CheckpointLoader.register_scheme(
        'mine://', lambda *_: torch.load('a'), force=True)
    install_safe_loading()
    with pytest.raises(ValueError, match='no safe reader for .* download'):
        CheckpointLoader.load_checkpoint(address)


def test_every_scheme_is_ours():
    install_safe_loading()
    for loader in CheckpointLoader._schemes.values():
        assert loader.__module__ == safe_schemes.__name__


@pytest.mark.parametrize('command', [
    ['tools/test.py', 'configs/voc07/svm_resnet18_128px.py'],
    ['tools/test.py', 'configs/detection/faster-rcnn_r18_fpn_2k_voc07-160px.py'
     ],
    ['tools/voc07_svm.py', 'configs/voc07/svm_resnet18_128px.py'],
])
@pytest.mark.slow
def test_tools(trap, tmp_path, command):
    voc = tmp_path / 'VOCdevkit' / 'VOC2007'
    _write_voc(voc)
    done = subprocess.run(
        [sys.executable, *command, trap, '--work-dir', str(tmp_path / 'out'),
         '--cfg-options', f'test_dataloader.dataset.data_root={voc}'
         if 'voc07/' in command[1] else
         f'test_dataloader.dataset.data_root={voc.parent}/',
         'test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False'],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'which is not plain data' in done.stderr + done.stdout


def _write_voc(root):
    """Write one image of each class in the layout of VOC2007."""
    from mmdet.datasets import VOCDataset
    from PIL import Image
    for folder in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        (root / folder).mkdir(parents=True)
    names = VOCDataset.METAINFO['classes']
    ids = [f'{number:06d}' for number in range(len(names))]
    for split in ('trainval', 'test'):
        (root / f'ImageSets/Main/{split}.txt').write_text('\n'.join(ids))
        for label, name in enumerate(names):
            (root / f'ImageSets/Main/{name}_{split}.txt').write_text('\n'.join(
                f'{i} {1 if n == label else -1}' for n, i in enumerate(ids)))
    for name, index in zip(names, ids):
        Image.new('RGB', (64, 64)).save(root / f'JPEGImages/{index}.jpg')
        (root / f'Annotations/{index}.xml').write_text(
            '<annotation><size><width>64</width><height>64</height><depth>3'
            f'</depth></size><object><name>{name}</name><difficult>0'
            '</difficult><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>60</xmax>'
            '<ymax>60</ymax></bndbox></object></annotation>')


# What files of the wider family hold


def test_reads_what_openmmlab_writes(tmp_path):
    history = HistoryBuffer([1.5, 2.5], [1, 2])
    torch.save(
        dict(
            message_hub=dict(log_scalars={'train/loss': history}),
            best=np.float64(0.25),
            count=np.int64(3),
            palette=np.arange(6, dtype=np.uint8).reshape(2, 3),
            meta=ConfigDict(classes=('a', 'b'), nested=dict(x=1))),
        tmp_path / 'a.pth')
    with pytest.raises(Exception):  # torch alone does not
        torch.load(tmp_path / 'a.pth', weights_only=True)
    read = load_safely(tmp_path / 'a.pth')
    buffer = read['message_hub']['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.data[0].tolist() == [1.5, 2.5]
    assert buffer.data[1].tolist() == [1, 2]
    assert buffer.mean(2) == pytest.approx(4 / 3)  # sum over counts
    assert read['best'] == 0.25 and read['count'] == 3
    assert read['palette'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert read['meta'] == dict(classes=('a', 'b'), nested=dict(x=1))


def test_a_history_cannot_change_its_class(tmp_path):
    history = HistoryBuffer([1.], [1])
    history.__dict__['_statistics_methods'] = dict(
        HistoryBuffer._statistics_methods, mean=set)
    torch.save(history, tmp_path / 'a.pth')
    before = dict(HistoryBuffer._statistics_methods)
    load_safely(tmp_path / 'a.pth')
    assert HistoryBuffer._statistics_methods == before
    assert HistoryBuffer([1., 3.], [1, 1]).statistics('mean') == 2


class _Hidden:
    """Asks for an attribute that leads on to all of Python."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_attributes_are_not_handed_out(tmp_path):
    torch.save([_Hidden()], tmp_path / 'a.pth')
    assert load_safely(tmp_path / 'a.pth') == [None]


def test_arrays_of_objects_are_refused(tmp_path):
    torch.save(np.array([Trap(tmp_path / 'executed')]), tmp_path / 'a.pth')
    with pytest.raises(UnsafeCheckpointError):
        load_safely(tmp_path / 'a.pth')
    torch.save(np.array([None]), tmp_path / 'b.pth')
    with pytest.raises(UnsafeCheckpointError, match='not plain data'):
        load_safely(tmp_path / 'b.pth')
    assert not (tmp_path / 'executed').exists()


def test_refused_types_are_named(tmp_path):
    torch.save(dict(path=Path('a')), tmp_path / 'a.pth')
    with pytest.raises(
            UnsafeCheckpointError, match=r'"pathlib\.\S*PosixPath"'):
        load_safely(tmp_path / 'a.pth')


@pytest.mark.parametrize('kept', [0, 1, 100, -1])
def test_damaged_files(tmp_path, kept):
    torch.save(dict(state_dict={'a': torch.rand(100)}), tmp_path / 'a.pth')
    whole = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(whole[:kept])
    with pytest.raises(BrokenCheckpointError, match='cut off, damaged or no'):
        load_safely(tmp_path / 'a.pth')


def test_torchs_advice_to_load_unsafely_is_not_passed_on(tmp_path):
    with open(tmp_path / 'a.pth', 'wb') as file:
        pickle.dump(dict(a=frozenset([1])), file, protocol=4)
    with pytest.raises(BrokenCheckpointError, match='Unsupported') as error:
        load_safely(tmp_path / 'a.pth')
    assert 'weights_only' not in str(error.value)


def test_programs_are_refused(tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / 'a.pth'))
    with pytest.raises(UnsafeCheckpointError, match='a TorchScript program'):
        load_safely(tmp_path / 'a.pth')


def test_other_files(tmp_path):
    (tmp_path / 'a.pth').write_text('version https://git-lfs.example/spec/v1')
    with pytest.raises(BrokenCheckpointError, match='a.pth cannot be read'):
        load_safely(tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match='no checkpoint file .*b.pth'):
        load_safely(tmp_path / 'b.pth')


_TOOLS_ON_A_PLAIN_CONFIG = """
import sys
sys.path.insert(0, 'tools')
import test as test_tool
import train
from pathlib import Path

config, trap, marker, runner = sys.argv[1:]
options = ['--work-dir', config + '.run', '--cfg-options']
options += [runner] if runner else ['log_level=ERROR']
for tool, arguments in [
        (train, [config, *options, 'load_from=' + trap]),
        (train, [config, '--resume', trap, *options]),
        (test_tool, [config, trap, *options])]:
    try:
        tool.main(arguments)
    except Exception as error:
        print('refused:', type(error).__name__, error)
    else:
        print('accepted')
    assert not Path(marker).exists(), arguments
"""


@pytest.mark.parametrize('runner', ['', 'runner_type=Runner'])
def test_tools_refuse_it_for_configs_of_others_too(tmp_path, runner):
    """In a process of its own, where no other test has switched it on."""
    for name in 'ab':
        (tmp_path / 'images' / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'images' / name / '0.png'),
                    np.zeros((32, 32, 3), np.uint8))
    config = tmp_path / 'plain.py'
    config.write_text(f"""
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=2),
    head=dict(type='ClsHead', loss=dict(type='CrossEntropyLoss')),
    data_preprocessor=dict(num_classes=2))
train_dataloader = test_dataloader = dict(
    batch_size=2, sampler=dict(type='DefaultSampler'),
    dataset=dict(
        type='CustomDataset', data_root=r'{tmp_path / "images"}',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
train_cfg = dict(by_epoch=True, max_epochs=1)
test_cfg = dict()
test_evaluator = dict(type='Accuracy', topk=1)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
""")
    marker = tmp_path / 'executed'
    trap = write_trap(tmp_path / 'trap.pth', marker)
    done = subprocess.run(
        [sys.executable, '-c', _TOOLS_ON_A_PLAIN_CONFIG,
         str(config), trap, str(marker), runner],
        cwd=ROOT, text=True, capture_output=True)
    said = [line for line in done.stdout.splitlines()
            if line.startswith(('refused', 'accepted'))]
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(said) == 3
    for line in said:
        assert line.startswith('refused: UnsafeCheckpointError'), line
