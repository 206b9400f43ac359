# Copyright (c) mmmultissl contributors. All rights reserved.
"""The progress line: steps of ninja and of training, and the time left."""
import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / 'tools' / 'show_progress.py'
_spec = importlib.util.spec_from_file_location('show_progress', FILE)
show_progress = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(show_progress)


@pytest.mark.parametrize('seconds, words', [
    (0., '0 s'),
    (59.4, '59 s'),
    (59.6, '1 min 00 s'),
    (684., '11 min 24 s'),
    (7380., '2 h 03 min'),
])
def test_words_for(seconds, words):
    assert show_progress.words_for(seconds) == words


def test_time_left_of_a_compilation():
    progress = show_progress.Progress('Building mmcv', now=100., usual=700.)
    assert progress.line(104.) == ('Building mmcv: 4 s passed, usually about '
                                   '11 min 40 s')
    progress.read("  building 'mmcv._ext' extension", now=110.)
    # Ten seconds a step, as ninja prints when a step has ended.
    for step in range(1, 8):
        progress.read(f'  [{step}/77] c++ -MMD -MF {step}.o.d -O2 -c x.cpp',
                      now=110. + 10 * step)
    assert progress.line(180.) == (
        'Building mmcv: step 7 of 77, 1 min 20 s passed, about 11 min 40 s '
        'left')
    # While a step runs, the time left goes down.
    assert progress.seconds_left(185.) == pytest.approx(695.)


def test_steps_and_loss_of_training():
    progress = show_progress.Progress('Pretraining', now=0.)
    for step in (10, 20, 30):
        progress.read(
            f'11/22 10:00:00 - mmengine - INFO - Iter(train) [ {step}/120]  '
            'lr: 6.0e-02  eta: 0:01:00  time: 1.0  loss: 7.9261  '
            'moco.loss: 4.1', now=float(step))
    assert progress.line(30.) == ('Pretraining: step 30 of 120, loss 7.9261, '
                                  '30 s passed, about 1 min 30 s left')


def test_a_resumed_training_does_not_count_the_steps_before():
    progress = show_progress.Progress('Pretraining', now=0.)
    progress.read('Iter(train) [ 90/120]  loss: 7.0', now=20.)
    assert progress.seconds_left(20.) is None
    progress.read('Iter(train) [100/120]  loss: 7.0', now=30.)
    assert progress.seconds_left(30.) == pytest.approx(20.)


@pytest.mark.parametrize('line, shown', [
    ('Collecting torch==2.11.0', 'collecting torch==2.11.0'),
    ('  Downloading https://host/x/torch-2.11.0-cp311.whl (530.6 MB)',
     'downloading torch-2.11.0-cp311.whl (530.6 MB)'),
    ('Installing collected packages: mpmath, sympy, torch',
     'installing 3 packages'),
])
def test_what_pip_does(line, shown):
    progress = show_progress.Progress('Installing torch', now=0.)
    progress.read(line, now=1.)
    assert progress.line(2.) == f'Installing torch: {shown}, 2 s passed'


def test_a_whole_run_shows_lines_and_keeps_the_log(tmp_path, monkeypatch):
    monkeypatch.setattr(show_progress, '_PERIOD', .05)
    code = ('import time\nfor k in range(1, 5):\n'
            '    print(f"[{k}/4] c++ {k}", flush=True)\n    time.sleep(.15)\n')
    out = io.StringIO()
    log = tmp_path / 'logs' / 'build.log'
    start = show_progress.time.monotonic()
    progress = show_progress.Progress('Build', start)
    status = show_progress.follow([sys.executable, '-c', code], progress, log,
                                  out)
    assert status == 0
    assert log.read_text().splitlines() == [f'[{k}/4] c++ {k}'
                                            for k in range(1, 5)]
    assert 'Build: step 2 of 4, ' in out.getvalue()
    assert 's left' in out.getvalue()


def test_a_failure_shows_the_end_and_names_the_log(tmp_path, capsys):
    log = tmp_path / 'x.log'
    code = 'print("line\\n" * 50 + "the reason")\nraise SystemExit(3)'
    status = show_progress.main(
        ['Build', '--log', str(log), '--', sys.executable, '-c', code])
    shown = capsys.readouterr().out
    assert status == 3
    assert '  | the reason' in shown
    assert shown.count('| line') == 29
    assert 'with exit status 3; the whole output is in' in shown
    assert str(log) in shown


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_commands_children_too(tmp_path, number):
    log = tmp_path / 'x.log'
    process = subprocess.Popen([
        sys.executable, FILE, 'Build', '--log', log, '--', 'bash', '-c',
        'sleep 60 & echo $!; wait'
    ], stdout=subprocess.PIPE, text=True,
        # A shell starts background jobs deaf to SIGINT, these tests too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    deadline = time.monotonic() + 20
    while not (log.is_file() and log.read_text().endswith('\n')):
        assert time.monotonic() < deadline
        time.sleep(.05)
    child = int(log.read_text())
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert 'Build: interrupted' in out
    while time.monotonic() < deadline:
        try:
            # A child that ended but was not collected is a zombie.
            state = Path(f'/proc/{child}/stat').read_text().split(')')[1]
        except FileNotFoundError:
            return
        if state.split()[0] == 'Z':
            return
        time.sleep(.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail('the child of the command went on')


def test_a_step_that_hangs_does_not_eat_the_time_left():
    progress = show_progress.Progress('Building', 0.)
    for done in range(1, 5):
        progress.read(f'[{done}/10] c++ a.cpp', 10. * done)
    # Ten seconds a step, six to go, one of which has run for three.
    assert progress.seconds_left(43.) == pytest.approx(57.)
    # It runs for five minutes: five others are to come, at 340 s for five.
    assert progress.seconds_left(340.) == pytest.approx(5 * 340. / 5)


def test_after_the_last_step_no_time_is_promised():
    progress = show_progress.Progress('Building', 0.)
    for done in range(1, 4):
        progress.read(f'[{done}/3] c++ a.cpp', 10. * done)
    assert progress.seconds_left(30.) is None
    assert progress.line(30.) == 'Building: step 3 of 3, 30 s passed'
