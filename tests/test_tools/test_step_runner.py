# Copyright (c) mmmultissl contributors. All rights reserved.
"""Steps that need each other: order, resuming, failure, the time left."""
import fcntl
import importlib.util
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


@pytest.fixture(scope='module')
def tools():
    """Import the tools as a script beside them would."""
    sys.path.insert(0, str(TOOLS))
    try:
        found = {}
        for name in ('step_runner', 'quickstart'):
            spec = importlib.util.spec_from_file_location(
                name, TOOLS / f'{name}.py')
            found[name] = sys.modules[name] = importlib.util.module_from_spec(
                spec)
            spec.loader.exec_module(found[name])
        yield found
    finally:
        sys.path.remove(str(TOOLS))
        for name in ('step_runner', 'quickstart', 'show_progress'):
            sys.modules.pop(name, None)


@pytest.fixture
def step(tools, tmp_path):
    """Make steps that write their name into a common file."""
    def make(name, code='pass', needs=(), words=(), output=None):
        text = (f'import pathlib, sys, time; {code}; '
                f'f = open(r"{tmp_path}/order", "a"); f.write("{name} ")')
        return tools['step_runner'].Step(
            name, f'The {name}', 1., (sys.executable, '-c', text, *words),
            needs, output)

    return make


def run(tools, steps, folder, lanes=2):
    return tools['step_runner'].Runner(steps, folder, lanes, None).run()


def test_every_step_comes_after_what_it_needs(tools, step, tmp_path, capsys):
    steps = [
        step('a', 'time.sleep(.2)'),
        step('b', 'time.sleep(.8)', ('a', )),
        step('c', needs=('a', )),
        step('d', needs=('b', 'c')),
    ]
    assert run(tools, steps, tmp_path / 'out') == 0
    # b and c run side by side.
    assert (tmp_path / 'order').read_text().split() == ['a', 'c', 'b', 'd']
    assert '[4/4] The d: done in' in capsys.readouterr().out
    assert run(tools, steps, tmp_path / 'out') == 0
    assert (tmp_path / 'order').read_text().split() == ['a', 'c', 'b', 'd']
    assert '4 of 4 steps were done before' in capsys.readouterr().out


def test_a_step_waits_for_one_that_spares_it_work(tools, step, tmp_path):
    steps = [
        step('a', 'time.sleep(1)'),
        step('b')._replace(after=('a', )),
        step('c'),
        step('d', 'time.sleep(3)'),
    ]
    # Beside a there is something else to do until b need not wait.
    assert run(tools, steps, tmp_path / 'out') == 0
    assert (tmp_path / 'order').read_text().split() == ['c', 'a', 'b', 'd']


def test_a_step_is_not_spared_by_what_is_to_be_done_anew(tools, step,
                                                         tmp_path):
    told = f'open(r"{tmp_path}/told", "w").write(str(len(sys.argv)))'
    spared = step('b', told)._replace(after=('a', ), spared=('word', ))
    told = tmp_path / 'told'
    assert run(tools, [step('a'), spared], tmp_path / 'out', 1) == 0
    assert told.read_text() == '2'
    # The words are none of its settings.
    assert run(tools, [step('a'), spared._replace(spared=())],
               tmp_path / 'out', 1) == 0
    assert (tmp_path / 'order').read_text().split() == ['a', 'b']
    # Both are to be done anew, and b begins while a is under way.
    slow = step('a', 'time.sleep(1.5)')
    again = spared._replace(command=(*spared.command, 'x'))
    assert run(tools, [slow, again], tmp_path / 'out') == 0
    assert told.read_text() == '2'  # 'x' alone
    # Nor is it by one that has failed.
    runner = tools['step_runner'].Runner(
        [step('a', 'sys.exit(3)'), spared], tmp_path / 'fails', 1, None,
        go_on=True)
    assert runner.run() == 1 and told.read_text() == '1'


def test_a_step_does_not_wait_beside_nothing_or_for_a_failure(
        tools, step, tmp_path):
    waits = step('b')._replace(after=('a', ))
    assert run(tools, [step('a', 'time.sleep(1.5)'), waits],
               tmp_path / 'idle') == 0
    assert (tmp_path / 'order').read_text().split() == ['b', 'a']
    (tmp_path / 'order').unlink()
    runner = tools['step_runner'].Runner([step('a', 'sys.exit(3)'), waits],
                                         tmp_path / 'fails', 1, None,
                                         go_on=True)
    assert runner.run() == 1
    assert (tmp_path / 'order').read_text().split() == ['b']


def test_another_command_runs_its_step_and_those_after_it_again(
        tools, step, tmp_path):
    old = tmp_path / 'made'
    makes = f'pathlib.Path(r"{old}").mkdir()'
    steps = [step('a', makes, output=old), step('b'), step('c', needs=('a', ))]
    assert run(tools, steps, tmp_path / 'out', 1) == 0
    (old / 'file').write_text('of the old command')
    steps[0] = step('a', f'x = 2; {makes}', output=old)
    assert run(tools, steps, tmp_path / 'out', 1) == 0
    assert (tmp_path / 'order').read_text().split() == [*'abc', *'ac']
    assert not (old / 'file').exists()


def test_a_command_that_leaves_nothing_has_failed(
        tools, step, tmp_path, capsys):
    made = tmp_path / 'made'
    steps = [step('a', output=made), step('b', needs=('a', ))]
    assert run(tools, steps, tmp_path / 'out', 1) == 1
    assert f'did not write {made}' in capsys.readouterr().out
    assert (tmp_path / 'order').read_text().split() == ['a']


def test_a_result_that_cannot_be_used_is_a_failure(tools, step, tmp_path,
                                                   capsys):
    def finish(took):
        raise ValueError('The figures are those of an earlier step.')

    steps = [step('a', 'print("the command")')._replace(finish=finish),
             step('b', needs=('a', ))]
    assert run(tools, steps, tmp_path / 'out', 1) == 1
    shown = capsys.readouterr().out
    assert '| the command' in shown and '| The figures are those' in shown
    assert (tmp_path / 'order').read_text().split() == ['a']


def test_what_was_there_before_is_removed_in_the_own_folder_alone(
        tools, step, tmp_path, capsys):
    for place in ('out', '.'):
        made = tmp_path / place / 'made'
        made.mkdir(parents=True)
        (made / 'file').write_text('of somebody')
        steps = [step('a', f'pathlib.Path(r"{made}").mkdir()', output=made)]
        ended = run(tools, steps, tmp_path / 'out', 1)
        inside = place == 'out'
        assert ended == (0 if inside else 1)
        assert (made / 'file').exists() != inside
        shutil.rmtree(tmp_path / 'out' / 'steps')
    assert f'{made} is there already' in capsys.readouterr().out


def test_a_step_done_again_with_another_result_is_followed_by_the_others(
        tools, step, tmp_path):
    outputs = {name: tmp_path / f'made_{name}' for name in 'abc'}
    source = tmp_path / 'source'

    def writing(name, text):
        return f'open(r"{outputs[name]}", "w").write({text})'

    steps = [
        step('a', writing('a', f'open(r"{source}").read()'),
             output=outputs['a']),
        step('b', writing('b', '"always the same"'), ('a', ),
             output=outputs['b']),
        step('c', writing('c', '"x"'), ('b', ), output=outputs['c']),
        step('d', needs=('c', 'a')),
    ]
    done = ''
    for text, more in (('one', 'abcd'), ('one', 'a'), ('two', 'abd')):
        source.write_text(text)
        outputs['a'].unlink(missing_ok=True)
        assert run(tools, steps, tmp_path / 'out', 2) == 0
        done += more
        assert (tmp_path / 'order').read_text().split() == [*done]
    # Marks of before are taken as they are.
    for file in (tmp_path / 'out' / 'steps').iterdir():
        file.write_text(' '.join(file.read_text().split()[:2]))
    assert run(tools, steps, tmp_path / 'out', 2) == 0
    assert (tmp_path / 'order').read_text().split() == [*done]


def test_a_step_whose_files_are_gone_is_done_again_alone(
        tools, step, tmp_path):
    made, beside = tmp_path / 'made', tmp_path / 'beside'
    writes = (f'pathlib.Path(r"{made}").touch(); '
              f'pathlib.Path(r"{beside}").touch()')
    steps = [step('a', writes, output=made)._replace(beside=(beside, )),
             step('b', needs=('a', ))]
    for gone in (made, beside):
        assert run(tools, steps, tmp_path / 'out', 1) == 0
        gone.unlink()
    assert run(tools, steps, tmp_path / 'out', 1) == 0
    assert made.exists() and beside.exists()
    assert (tmp_path / 'order').read_text().split() == [*'ab', 'a', 'a']


def test_commands_that_outlive_their_runner_hold_its_lock(tools, tmp_path):
    lock = open(tmp_path / 'lock', 'w')
    fcntl.flock(lock, fcntl.LOCK_EX)
    module = sys.modules['show_progress']
    command = module.Command(
        [sys.executable, '-c', 'import time; time.sleep(60)'],
        module.Progress('sleep', time.monotonic(), 1.), tmp_path / 'log',
        None, (lock.fileno(), ))
    # As when this process is killed.
    lock.close()
    with open(tmp_path / 'lock', 'w') as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        command.end()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_changed_file_runs_its_step_and_those_after_it_again(
        tools, step, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('x = 1')
    steps = [step('a'), step('b')._replace(files=(config, )),
             step('c', needs=('b', ))]
    assert run(tools, steps, tmp_path / 'out', 1) == 0
    config.write_text('x = 2')
    assert run(tools, steps, tmp_path / 'out', 1) == 0
    assert (tmp_path / 'order').read_text().split() == [*'abc', *'bc']


def test_a_failure_ends_the_others_and_their_work_is_continued(
        tools, step, tmp_path, capsys):
    kept = tmp_path / 'kept'
    slow = ('p = pathlib.Path(sys.argv[1]); was = p.exists(); '
            'p.mkdir(exist_ok=True); time.sleep(0 if was else 30)')
    bad = ('print("the reason"); time.sleep(1.5); '
           'pathlib.Path(sys.argv[1]).exists() or sys.exit(3)')
    steps = [
        step('slow', slow, (), (str(kept), ), kept),
        step('bad', bad, (), (str(tmp_path / 'good'), )),
    ]
    start = time.monotonic()
    assert run(tools, steps, tmp_path / 'out') == 3
    assert time.monotonic() - start < 20
    shown = capsys.readouterr().out
    assert '| the reason' in shown and 'The bad: failed after' in shown
    assert str(tmp_path / 'out' / 'logs' / 'bad.log') in shown
    assert kept.is_dir() and not (tmp_path / 'order').exists()
    (tmp_path / 'good').write_text('')
    assert run(tools, steps, tmp_path / 'out') == 0
    assert sorted((tmp_path / 'order').read_text().split()) == ['bad', 'slow']


def test_a_word_is_completed_from_a_file(tools, step, tmp_path):
    steps = [
        step('a', f'open(r"{tmp_path}/last", "w").write("run/iter_3.pth\\n")'),
        step('b', 'assert sys.argv[1] == "checkpoint=run/iter_3.pth"',
             ('a', ), (f'checkpoint=@{tmp_path}/last', )),
    ]
    assert run(tools, steps, tmp_path / 'out') == 0


def test_the_time_left_follows_the_schedule(tools):
    module = tools['step_runner']

    def made(name, usual, *needs):
        return module.Step(name, name, usual, (), needs)

    steps = [made('data', 10), made('x', 100, 'data'), made('y', 60, 'data'),
             made('z', 30, 'y'), made('end', 5, 'x', 'z')]
    left = module.time_left
    # data, then x beside y and z, then the end.
    assert left(steps, [], {}, 2, 1.) == 10 + 100 + 5
    assert left(steps, [], {}, 1, 1.) == 205
    assert left(steps, [], {}, 2, 2.) == 2 * 115
    assert left(steps, ['data'], dict(x=40., y=5.), 2, 1.) == 45
    assert left(steps, ['data', 'y', 'z'], dict(x=7.), 2, 1.) == 12
    assert left(steps, [step.name for step in steps], {}, 2, 1.) == 0


def test_lines_tell_what_runs_and_how_long_all_takes(tools, tmp_path):
    module = tools['step_runner']
    steps = [module.Step('a', 'The a', 100., ()),
             module.Step('b', 'The b', 50., (), ('a', ))]
    runner = module.Runner(steps, tmp_path, 2, {})
    runner.start = 0.
    progress = module.Progress('The a', 0., 100.)
    runner.running['a'] = type('Command', (), dict(progress=progress))
    assert runner.lines(10.) == [
        '0 of 2 steps done, 10 s passed, about 2 min 20 s left in all',
        '  The a: 10 s passed, usually about 1 min 40 s'
    ]
    # It turns out to go at half the usual speed: so will the next one.
    progress.read('Iter(train) [  1/100]  loss: 7.0', now=2.)
    progress.read('Iter(train) [ 20/100]  loss: 7.0', now=40.)
    assert progress.seconds_left(40.) == pytest.approx(160.)
    assert runner.lines(40.)[0].endswith('about 4 min 20 s left in all')


# The quickstart


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    """Be where the quickstart's paths begin."""
    monkeypatch.chdir(TOOLS.parent)


IMAGES = {'data', 'pretrain', 'evaluate', 'detect', 'report'}
BINAURAL = {'scenes', 'pretrain', 'judge', 'azimuth', 'retrieval', 's3r',
            'semantic', 'report'}


@pytest.mark.parametrize('legs, kinds', [
    (('images', 'binaural'), IMAGES | BINAURAL), (('images', ), IMAGES),
    (('binaural', ), BINAURAL)
])
def test_the_steps_of_the_quickstart_are_sound(tools, legs, kinds):
    steps = tools['quickstart'].make_steps('python', legs)
    seen = set()
    for each in steps:
        assert set(each.needs) <= seen, each.name
        seen.add(each.name)
        script = each.command[1]
        assert (TOOLS.parent / script).is_file()
        for word in each.command:
            if word.startswith('configs/'):
                assert (TOOLS.parent / word).is_file()
    assert {name.split('_')[0] for name in seen} == kinds
    assert steps[-1].name == 'report' and set(steps[-1].needs) == seen - {
        'report'}
    assert all(file.is_file() for each in steps for file in each.files)
    outputs = [each.output for each in steps]
    assert None not in outputs and len(set(outputs)) == len(outputs)


@pytest.mark.parametrize('words, minutes, has, lacks', [
    ([], 10, ('mAP and AP50', 'Accuracies'), ()),
    (['--only', 'images'], 6, ('mAP and AP50', 'own images'),
     ('Accuracies', )),
    (['--only', 'binaural'], 4, ('Accuracies', 'stereo_folder.py'),
     ('mAP', 'own images')),
])
def test_what_the_quickstart_says(tools, tmp_path, monkeypatch, capsys, words,
                                  minutes, has, lacks):
    monkeypatch.chdir(tmp_path)
    quickstart = tools['quickstart']
    text = tmp_path / 'work_dirs' / 'quickstart' / 'report.txt'
    made = tools['step_runner'].Step(
        'report', 'Writing', 1.,
        (sys.executable, '-c', f'open(r"{text}", "w").write("the table")'))
    monkeypatch.setattr(quickstart, 'make_steps', lambda *_: [made])
    assert quickstart.main(words) == 0
    shown = capsys.readouterr().out
    assert f'about {minutes} minutes on 2 free cores' in shown
    for piece in ('the table', 'work_dirs/quickstart/report.html', *has):
        assert piece in shown
    assert not any(piece in shown for piece in lacks)


def test_the_parents_of_a_config_are_those_that_mmengine_reads(tools):
    from mmengine.config import Config

    def parents(file):
        found = {file.resolve()}
        for name in Config._get_base_files(str(file)):
            if '::' not in name:
                found |= parents(file.parent / name)
        return found

    quickstart = tools['quickstart']
    for config in (quickstart.DETECTOR, quickstart.PRETRAININGS[1][2],
                   quickstart.BINAURAL_TASKS,
                   'configs/demo/binaural_s3r_demo.py'):
        named = {file.resolve() for file in quickstart.with_parents(config)}
        assert named == parents(TOOLS.parent / config)
        assert len(named) > 4


def test_the_demo_of_binaural_sound_is_one_backbone(tools):
    from mmmultissl.utils.command_line import read_config
    quickstart = tools['quickstart']
    pretraining = read_config(quickstart.BINAURAL_TASKS)
    scenes = str(quickstart.SCENES)
    for task, _, _ in quickstart.DOWNSTREAM:
        config = read_config(f'configs/demo/binaural_{task}_demo.py')
        backbone = dict(config.model.backbone)
        assert backbone.pop('init_cfg')['prefix'] == 'backbone.'
        assert backbone == pretraining.model.backbone
        assert config.model.frozen
        assert (config.data_preprocessor.spectrogram ==
                pretraining.data_preprocessor.spectrogram)
        # Both are trained on the same scenes and judged on the same others.
        for one in (config, pretraining):
            assert one.train_dataloader.dataset.data_root == scenes
            assert one.train_dataloader.dataset.split == 'train'
        for judged in (config.val_dataloader, pretraining.test_dataloader):
            assert judged.dataset.data_root == scenes
            assert judged.dataset.split == 'test'


@pytest.mark.slow
def test_the_binaural_leg_at_a_tiny_size(tools, tmp_path, monkeypatch):
    for name in ('tools', 'configs', 'mmmultissl'):
        (tmp_path / name).symlink_to(TOOLS.parent / name)
    monkeypatch.chdir(tmp_path)
    quickstart = tools['quickstart']
    small = []
    for each in quickstart.make_steps(sys.executable, ['binaural']):
        words = list(each.command)
        if each.name == 'scenes':
            words[words.index('--recordings'):] = ['--recordings', '6', '0',
                                                   '2']
        elif each.name == 'pretrain_binaural':
            words += ['--cfg-options', 'train_cfg.max_iters=2']
        elif '--cfg-options' in words:
            words.append('train_cfg.max_epochs=1')
        small.append(each._replace(command=tuple(words)))
    folder = tmp_path / 'work_dirs' / 'quickstart'
    environment = dict(os.environ, OMP_NUM_THREADS='1')
    runner = tools['step_runner'].Runner
    assert runner(small, folder, 2, environment).run() == 0
    page = (folder / 'report.html').read_text()
    assert page.count('<section') == 7 and 'http' not in page
    lines = (folder / 'report.txt').read_text().splitlines()
    assert [line.split()[0] for line in lines[1:4]] == [
        'foreground', 'gap', 'spatial']
    # Every figure of both backbones is there.
    assert len(lines) == 5 + 10 and not any('–' in line for line in lines)


def test_the_three_pretrainings_differ_in_their_tasks_alone(tools):
    from mmmultissl.utils.command_line import read_config
    configs = {
        run: read_config(str(TOOLS.parent / config)).to_dict()
        for run, _, config in tools['quickstart'].PRETRAININGS
    }
    tasks = {
        run: {name for name, task in config['model'].pop('tasks').items()
              if isinstance(task, dict)}
        for run, config in configs.items()
    }
    assert tasks == dict(
        both={'moco', 'densecl'}, moco={'moco'}, densecl={'densecl'})
    assert configs['both'] == configs['moco'] == configs['densecl']
