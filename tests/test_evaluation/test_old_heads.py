# Copyright (c) mmmultissl contributors. All rights reserved.
"""Heads of earlier stages on later trunks."""
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.engine.stages import Record, run_stages
from mmmultissl.evaluation.old_heads import (FinishedStage, HeldOut,
                                             figures_of, head_tests,
                                             read_stages, write_mixed)
from mmmultissl.utils.command_line import build_runner
from tests.test_engine.stages_toy import (DISTILL, InProcess, config,
                                          make_images)

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def stage(number, name, tasks=None, **changes):
    content = dict(
        name=name,
        number=number,
        tasks=tasks or [name],
        updates=3,
        checkpoint='iter_3.pth',
        sha256='',
        seconds=1.,
        teachers={},
        start_from=None,
        config_sha256='')
    return Record(**dict(content, **changes))


def finished(*records):
    return [
        FinishedStage(Path(f'{each.number}_{each.name}'), each, ['remember'])
        for each in records
    ]


def names(tests):
    return [(t.trunk.record.name, t.heads.record.name, *t.tasks)
            for t in tests]


def test_every_trunk_is_judged_by_all_heads_so_far():
    stages = finished(stage(1, 'a'), stage(2, 'b'), stage(3, 'c'))
    assert names(head_tests(stages)) == [
        ('a', 'a', 'a'), ('b', 'a', 'a'), ('b', 'b', 'b'), ('c', 'a', 'a'),
        ('c', 'b', 'b'), ('c', 'c', 'c')
    ]
    assert names(head_tests(stages, last=True)) == [
        ('c', 'a', 'a'), ('c', 'b', 'b'), ('c', 'c', 'c')
    ]


def test_a_task_that_is_trained_again_is_judged_by_its_newer_heads():
    stages = finished(
        stage(1, 'both', ['a', 'b']), stage(2, 'again', ['b', 'c']))
    tests = head_tests(stages)
    assert names(tests) == [('both', 'both', 'a', 'b'), ('again', 'both', 'a'),
                            ('again', 'again', 'b', 'c')]
    metrics = {'a.accuracy': .5, 'b.accuracy': .6, 'remember.loss': 2.}
    assert figures_of(tests[0], metrics) == {
        'a.accuracy': .5, 'b.accuracy': .6}
    assert figures_of(tests[1], metrics) == {'a.accuracy': .5}


def test_change_is_from_the_stage_that_last_trained_the_task():
    stages = finished(
        stage(1, 'both', ['a', 'b']), stage(2, 'again', ['b', 'c']),
        stage(3, 'd'))
    held_out = HeldOut()
    figures = [dict(a=.9, b=.8), dict(a=.7), dict(b=.85, c=.6), dict(a=.75),
               dict(b=.65, c=.5), dict(d=.4)]
    for test, found in zip(head_tests(stages), figures):
        held_out.add(test, found)
    assert held_out.last == dict(a=.75, b=.65, c=.5, d=.4)
    assert held_out.change() == pytest.approx(dict(a=-.15, b=-.2, c=-.1))
    lines = held_out.lines()
    assert lines[0] == ('', 'after both', 'after again', 'after d', 'change')
    assert lines[2] == ('b', '0.800', '0.850', '0.650', '-0.200')
    assert lines[4] == ('d', '–', '–', '0.400', '–')
    # Of the last trunk alone no change is known.
    last = HeldOut()
    for test, found in zip(head_tests(stages, last=True), figures[3:]):
        last.add(test, found)
    assert last.change() == {}
    assert last.lines()[1] == ('a', '0.750')


def save(folder, record, **state):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(
        dict(meta=dict(iter=3), state_dict=state, optimizer=dict(a=1)),
        folder / record.checkpoint)
    return FinishedStage(folder, record, [])


def test_a_mixed_checkpoint_has_the_trunk_of_one_and_the_rest_of_the_other(
        tmp_path):
    first = save(tmp_path / '1_a', stage(1, 'a'), **{
        'backbone.w': torch.zeros(2), 'backbone_like.w': torch.zeros(1),
        'tasks.a.w': torch.zeros(3)})
    second = save(tmp_path / '2_b', stage(2, 'b'), **{
        'backbone.w': torch.ones(2), 'backbone_like.w': torch.ones(1),
        'tasks.b.w': torch.ones(3)})
    test = head_tests([first, second])[1]
    write_mixed(test, tmp_path / 'mixed.pth')
    mixed = torch.load(tmp_path / 'mixed.pth', weights_only=True)
    assert {key: value.tolist()
            for key, value in mixed['state_dict'].items()} == {
                'backbone.w': [1., 1.], 'backbone_like.w': [0.],
                'tasks.a.w': [0., 0., 0.]}
    assert 'optimizer' not in mixed
    wider = save(tmp_path / '2_b', stage(2, 'b'),
                 **{'backbone.w': torch.ones(3)})
    with pytest.raises(ValueError, match='the stages a and b differ in '
                       'backbone.w'):
        write_mixed(head_tests([first, wider])[1], tmp_path / 'mixed.pth')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('old_heads') / 'images'
    make_images(folder)
    return folder


def without_queues(images, work_dir):
    """Two stages of tasks that can be judged on other images."""
    task = dict(
        type='mmmultissl.MMPretrainTask',
        algorithm=dict(
            type='mmpretrain.SimSiam',
            neck=dict(
                type='mmpretrain.NonLinearNeck', in_channels=64,
                hid_channels=16, out_channels=8, num_layers=2,
                with_avg_pool=True),
            head=dict(
                type='mmpretrain.LatentPredictHead',
                loss=dict(type='mmpretrain.CosineSimilarityLoss'),
                predictor=dict(
                    type='mmpretrain.NonLinearNeck', in_channels=8,
                    hid_channels=8, out_channels=8, with_avg_pool=False))))
    cfg = config(images, work_dir, dict(DISTILL, weight=1.))
    cfg.model.tasks = dict(a=task, b=task)
    cfg.stages = dict(a=dict(updates=6), b=cfg.stages.densecl)
    cfg.stage_order = ['a', 'b']
    cfg.test_dataloader = dict(
        cfg.train_dataloader,
        sampler=dict(type='DefaultSampler', shuffle=False))
    cfg.test_evaluator = dict(type='mmmultissl.PretextScores')
    cfg.test_cfg = dict()
    return cfg


@pytest.fixture(scope='module')
def run(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp('old_heads_run')
    run_stages(without_queues(images, folder), InProcess())
    return folder


def test_a_run_is_read(run):
    stages = read_stages(run)
    assert [(each.record.name, [*each.others]) for each in stages] == [
        ('a', []), ('b', ['remember'])]
    assert sha256_of(str(stages[0].checkpoint)) == stages[0].record.sha256


def judged_by_hand(run, tmp_path):
    """The first stage's heads on the second one's trunk."""
    old, new = (torch.load(each, weights_only=True)['state_dict']
                for each in (run / '1_a/iter_6.pth', run / '2_b/iter_4.pth'))
    assert not torch.equal(old['backbone.conv1.weight'],
                           new['backbone.conv1.weight'])
    state = {key: new[key] if key.startswith('backbone.') else value
             for key, value in old.items()}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'by_hand.pth')
    found = []
    for checkpoint in (run / '1_a/iter_6.pth', tmp_path / 'by_hand.pth'):
        cfg = Config.fromfile(run / '1_a' / 'config.py')
        cfg.load_from, cfg.work_dir = str(checkpoint), str(tmp_path / 'test')
        cfg.experiment_name = f'by_hand_{checkpoint.stem}'
        found.append(build_runner(cfg).test()['a.loss'])
    return found


def load_tool():
    sys.path.insert(0, str(TOOLS))
    try:
        spec = importlib.util.spec_from_file_location(
            'test_stages', TOOLS / 'test_stages.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(TOOLS))
    return module


@pytest.mark.slow
def test_the_tool_finds_what_a_test_by_hand_finds(run, tmp_path, capsys,
                                                  monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(TOOLS.parent))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    out = tmp_path / 'out.json'
    tool = load_tool()
    words = [str(run), '--work-dir', str(tmp_path / 'work'), '--out', str(out)]
    assert tool.main(words) == 0, capsys.readouterr().out
    found = json.loads(out.read_text())
    before, after = judged_by_hand(run, tmp_path)
    assert found['after']['a']['a.loss'] == pytest.approx(before, abs=1e-6)
    assert found['a.loss'] == pytest.approx(after, abs=1e-6)
    assert found['change'] == {
        'a.loss': pytest.approx(after - before, abs=1e-6)}
    assert {name for name in found if '.' in name} == {'a.loss', 'b.loss'}
    table = capsys.readouterr().out.splitlines()[-3:]
    assert table[0].split() == ['after', 'a', 'after', 'b', 'change']
    assert table[1].split()[:2] == ['a.loss', f'{before:.3f}']
    # A second call only reads, and no checkpoint is left behind.
    assert tool.main([*words, '--last']) == 0
    assert '2 of 2 steps were done before' in capsys.readouterr().out
    assert not [*(tmp_path / 'work').rglob('*.pth')]


def test_what_cannot_be_tested_is_a_sentence(images, run, tmp_path, capsys):
    tool = load_tool()
    assert tool.main([str(tmp_path)]) == 2
    assert 'has no stages.json' in capsys.readouterr().err
    untested = tmp_path / 'untested'
    cfg = without_queues(images, untested)
    cfg.pop('test_cfg'), cfg.pop('test_dataloader'), cfg.pop('test_evaluator')
    run_stages(cfg, InProcess())
    with pytest.raises(ValueError, match='has no test_cfg, so its tasks'):
        read_stages(untested)
    (untested / '2_b' / 'stage.json').unlink()
    (untested / '1_a' / 'config.py').write_text(
        'test_cfg = dict()\n' + (run / '1_a' / 'config.py').read_text())
    with pytest.raises(ValueError, match='Stage b of .* is not done'):
        read_stages(untested)
    (untested / '1_a' / 'iter_6.pth').write_bytes(b'another')
    with pytest.raises(ValueError, match='is not the checkpoint that stage a'):
        read_stages(untested)


def test_columns_forget_nothing(tmp_path):
    record = stage(2, 'b', columns=dict(a='1'), checkpoint='c.pth')
    (tmp_path / '2_b').mkdir()
    (tmp_path / '2_b' / 'c.pth').write_bytes(b'c')
    record.sha256 = sha256_of(str(tmp_path / '2_b' / 'c.pth'))
    record.write(str(tmp_path / '2_b'))
    (tmp_path / 'stages.json').write_text(
        json.dumps(dict(stages=[dict(name='b', folder='2_b')])))
    with pytest.raises(ValueError, match='a column of a progressive network'):
        read_stages(tmp_path)
