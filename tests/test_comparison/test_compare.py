# Copyright (c) mmmultissl contributors. All rights reserved.
"""A whole comparison: order, resuming, failures, the tables, test lists."""
import fcntl
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import stats

from .small import TOOLS, figure, load_compare, read_table, write_comparison


@pytest.fixture(scope='module')
def compare():
    """Import the tool once."""
    return load_compare()


def run(compare, config, work, *words):
    return compare.main([str(config), '--work-dir', str(work), *words])


def order(folder):
    file = folder / 'order'
    return file.read_text().split() if file.exists() else []


def test_the_tables_agree_with_scipy(compare, tmp_path, capsys):
    work = tmp_path / 'work'
    assert run(compare, write_comparison(tmp_path), work, '--jobs', '2') == 0
    table = read_table(work)
    levels = dict(a=10., b=20., c=12.)
    scores = {
        name: np.array([figure(level, seed) for seed in range(3)])
        for name, level in levels.items()
    }
    for name, values in scores.items():
        found = table['rows'][name]['evaluations']['score']
        assert np.allclose([*found['seeds'].values()], values)
        assert math.isclose(found['spread']['mean'], values.mean())
        assert math.isclose(found['spread']['deviation'], values.std(ddof=1))
        errors = table['rows'][name]['evaluations']['error']['seeds']
        assert np.allclose([*errors.values()], 100 - values)
        if name == 'a':
            assert found['difference'] is None
            continue
        known = stats.ttest_rel(values, scores['a']).confidence_interval(.95)
        assert math.isclose(found['difference']['low'], known.low)
        assert math.isclose(found['difference']['high'], known.high)
    # Half of it from the scores, half from the errors, of which less is
    # better.
    for base, key in ((lambda *x: np.mean(x, 0), 'gain'),
                      (np.maximum, 'gain_over_best')):
        best = base(scores['a'], scores['b'])
        gain = ((scores['c'] - best) / best +
                (scores['c'] - best) / (100 - best)) * 50
        found = table['rows']['c'][key]
        assert math.isclose(found['mean'], gain.mean())
        assert math.isclose(found['deviation'], gain.std(ddof=1))
    # Six steps of half a second.
    assert table['rows']['c']['seconds'] == dict(
        count=3, mean=3., deviation=0.)
    assert table['rows']['c']['budget']['total'] == 6
    text = (work / 'dev/table.md').read_text()
    assert '| c | 13.0 ± 4.6 | 87.0 ± 4.6 |' in text
    assert 'no test figures' in text and 'Student' in text
    lines = (work / 'dev/table.csv').read_text().splitlines()
    assert len(lines) == 1 + 3 * 2
    shown = capsys.readouterr().out
    assert '13.0 ± 4.6' in shown and str(work / 'dev/report.html') in shown


def test_a_second_run_does_nothing_and_a_lost_figure_is_made_again(
        compare, tmp_path, capsys):
    work = tmp_path / 'work'
    config = write_comparison(tmp_path, dict(b=None, c=None), baselines=[],
                              seeds=[0, 1])
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'a1']
    before = read_table(work)
    assert run(compare, config, work) == 0
    assert '4 of 4 steps were done before' in capsys.readouterr().out
    (work / 'runs/a/seed1/judge.dev.json').unlink()
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'a1']
    assert read_table(work) == before
    record = json.loads((work / 'records/a.seed0.judge.dev.json').read_text())
    training = json.loads((work / 'records/a.seed0.pretrain.json').read_text())
    # The evaluation pins the file that the training ended with.
    assert (record['checkpoints']['a']['sha256'] ==
            training['checkpoint_sha256'])
    assert len(training['configs'][str(work / 'runs/a/seed0/config.py')]) == 64


def test_changed_settings_are_refused_and_redone_on_demand(
        compare, tmp_path, capsys):
    work = tmp_path / 'work'
    some = dict(seeds=[0], baselines=[])
    assert run(compare, write_comparison(tmp_path, **some), work) == 0
    config = write_comparison(
        tmp_path, dict(c=dict(cfg_options={'model.level': 13.})), **some)
    assert run(compare, config, work) == 2
    said = capsys.readouterr().err
    assert 'c.seed0.pretrain' in said and '--redo' in said
    assert order(tmp_path) == ['a0', 'b0', 'c0']
    assert run(compare, config, work, '--redo') == 0
    assert order(tmp_path) == ['a0', 'b0', 'c0', 'c0']
    found = read_table(work)['rows']['c']['evaluations']['score']
    assert found['seeds'] == {'0': pytest.approx(13.)}


def test_a_changed_checkpoint_is_not_judged(compare, tmp_path, capsys):
    work = tmp_path / 'work'
    config = write_comparison(tmp_path, dict(b=None, c=None), baselines=[],
                              seeds=[0])
    assert run(compare, config, work) == 0
    (work / 'runs/a/seed0/judge.dev.json').unlink()
    file = work / 'runs/a/seed0/pretrain/iter_6.pth'
    file.write_text(file.read_text() + ' ')
    assert run(compare, config, work) == 1
    assert 'is not the file that the training of a ended with' in (
        capsys.readouterr().out)


def test_a_training_done_again_takes_along_what_it_was_needed_for(
        compare, tmp_path, capsys):
    work = tmp_path / 'work'
    config = write_comparison(
        tmp_path, dict(
            b=dict(cfg_options={'model.teacher': '{row:c}'},
                   beyond_budget='a whole teacher')),
        baselines=[], seeds=[0])
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'c0', 'b0']
    trained = work / 'runs/c/seed0/pretrain'
    shutil.rmtree(trained)
    # The same checkpoint, byte for byte: nothing else is to be done.
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'c0', 'b0', 'c0']
    shutil.rmtree(trained)
    script = tmp_path / 'train.py'
    script.write_text(script.read_text().replace('level=cfg', 'level=1 + cfg'))
    capsys.readouterr()
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'c0', 'b0', 'c0', 'c0', 'b0']
    table = read_table(work)['rows']
    for row, level in dict(a=10., b=11., c=13.).items():
        assert table[row]['evaluations']['score']['seeds'] == {
            '0': pytest.approx(level)}


def test_a_folder_of_the_user_is_not_removed(compare, tmp_path, capsys):
    mine = tmp_path / 'mine'
    mine.mkdir()
    (mine / 'photograph').write_text('')
    config = write_comparison(
        tmp_path, seeds=[0], prepare=dict(data=dict(
            command=['{python}', '-c', 'pass'], output=str(mine))))
    assert run(compare, config, tmp_path / 'work') == 1
    assert (mine / 'photograph').is_file()
    assert f'{mine} is there already' in capsys.readouterr().out


def test_an_inherited_preparation_can_be_left_out(compare, tmp_path):
    config = write_comparison(tmp_path, seeds=[0], prepare=dict(data=None))
    assert run(compare, config, tmp_path / 'work') == 0


def test_a_failure_stops_those_that_need_it_alone(compare, tmp_path, capsys):
    work, trouble = tmp_path / 'work', tmp_path / 'trouble'
    trouble.write_text('')
    config = write_comparison(
        tmp_path,
        dict(
            b=dict(cfg_options={'model.fails_if': str(trouble)}),
            c=dict(cfg_options={'model.teacher': '{row:b}'},
                   beyond_budget='a whole teacher')),
        seeds=[0], baselines=[])
    assert run(compare, config, work) == 1
    assert order(tmp_path) == ['a0']
    shown = capsys.readouterr().out
    assert 'b.seed0.pretrain failed with exit status 3' in shown
    assert '  | the reason of the failure' in shown
    table = read_table(work)
    assert table['missing'] == {
        'b.seed0.pretrain': 'failed',
        'b.seed0.judge.dev': 'needs one that failed',
        'c.seed0.pretrain': 'needs one that failed',
        'c.seed0.judge.dev': 'needs one that failed'
    }
    assert table['rows']['a']['evaluations']['score']['spread']['mean'] == 10
    assert table['rows']['b']['evaluations']['score']['spread'] is None
    trouble.unlink()
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['a0', 'b0', 'c0']
    assert not read_table(work)['missing']


def test_placeholders_name_the_checkpoint_of_the_same_seed(
        compare, tmp_path):
    work = tmp_path / 'work'
    # Listed before what it needs.
    config = write_comparison(
        tmp_path,
        dict(
            a=dict(cfg_options={
                'model.teacher': '{row:c}',
                'model.sha256': '{sha256:c}'
            }, beyond_budget='a whole teacher'), b=None),
        baselines=[], seeds=[0, 1])
    assert run(compare, config, work) == 0
    assert order(tmp_path) == ['c0', 'a0', 'c1', 'a1']
    for seed in (0, 1):
        made = json.loads(
            (work / f'runs/a/seed{seed}/pretrain/iter_6.pth').read_text())
        assert made['teacher']['level'] == 12 and made['teacher'][
            'seed'] == made['seed'] == seed
        record = json.loads(
            (work / f'records/c.seed{seed}.pretrain.json').read_text())
        assert made['sha256'] == record['checkpoint_sha256']


def test_a_killed_comparison_goes_on_with_resume(compare, tmp_path):
    work = tmp_path / 'work'
    config = write_comparison(
        tmp_path,
        dict(a=dict(cfg_options={'model.wait': True}), b=None, c=None),
        baselines=[], seeds=[0])
    process = subprocess.Popen([
        sys.executable, str(TOOLS / 'compare.py'), str(config), '--work-dir',
        str(work)
    ], stdout=subprocess.DEVNULL, env=dict(os.environ, OMP_NUM_THREADS='1'))
    begun = work / 'runs/a/seed0/pretrain/begun'
    deadline = time.monotonic() + 100
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(.2)
    assert begun.exists()
    # The other one is refused.
    assert run(compare, config, work) == 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    assert run(compare, config, work) == 0
    made = json.loads(
        (work / 'runs/a/seed0/pretrain/iter_6.pth').read_text())
    assert made['resumed'] and order(tmp_path) == ['a0']


def test_the_test_lists_are_scored_once(compare, tmp_path, capsys):
    work = tmp_path / 'work'
    some = dict(seeds=[0], baselines=[])
    config = write_comparison(tmp_path, **some)
    assert run(compare, config, work) == 0
    assert not (work / 'test_scored.json').exists()
    assert run(compare, config, work, '--test') == 0
    # The trainings are those of the development lists.
    assert order(tmp_path) == ['a0', 'b0', 'c0']
    scored, = json.loads((work / 'test_scored.json').read_text())
    assert re.fullmatch('[0-9a-f]{64}', scored['plan'])
    assert scored['begun'].startswith('20') and scored['reason'] is None
    judged = json.loads((work / 'runs/a/seed0/judge.test.json').read_text())
    assert judged['list'] == 'test'
    # The same plan is the same scoring.
    assert run(compare, config, work, '--test') == 0
    assert len(json.loads((work / 'test_scored.json').read_text())) == 1
    config = write_comparison(
        tmp_path, dict(d=dict(cfg_options={'model.level': 1.})), **some)
    capsys.readouterr()
    assert run(compare, config, work, '--test') == 2
    said = capsys.readouterr().err
    assert scored['begun'] in said and '--test-again' in said
    assert order(tmp_path) == ['a0', 'b0', 'c0']
    assert run(compare, config, work, '--test', '--test-again',
               'a row was forgotten') == 0
    assert 'AGAIN: a row was forgotten' in (work / 'test/table.md').read_text()
    assert len(read_table(work, 'test')['test_scored']) == 2


def test_two_at_once_are_refused(compare, tmp_path, capsys):
    work = tmp_path / 'work'
    work.mkdir()
    with open(work / '.compare.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run(compare, write_comparison(tmp_path), work) == 2
    assert 'Another comparison is at work' in capsys.readouterr().err
    assert not order(tmp_path)


def test_a_dry_run_shows_and_does_nothing(compare, tmp_path, capsys):
    work = tmp_path / 'work'
    assert run(compare, write_comparison(tmp_path), work, '--dry-run') == 0
    shown = capsys.readouterr().out
    assert 'Budget: every row costs 6 updates per seed' in shown
    assert '18 jobs, 54 updates of pretraining in all' in shown
    assert not work.exists() and not order(tmp_path)


def test_a_run_without_a_logged_step_has_no_seconds(compare, tmp_path):
    work = tmp_path / 'work'
    config = write_comparison(tmp_path, dict(b=None, c=None), baselines=[],
                              seeds=[0])
    assert run(compare, config, work) == 0
    log = work / 'runs/a/seed0/pretrain/now/vis_data/scalars.json'
    log.write_text('{"step": 2, "monitor/trunk/std": 1.0}\n')
    assert run(compare, config, work, '--only-report') == 0
    assert read_table(work)['rows']['a']['seconds'] is None
    log.unlink()
    assert run(compare, config, work, '--only-report') == 0
    assert read_table(work)['rows']['a']['seconds'] is None


def test_the_report_stands_alone_and_says_what_was_not_measured(
        compare, tmp_path):
    work = tmp_path / 'work'
    config = write_comparison(tmp_path, seeds=[0, 1])
    assert run(compare, config, work) == 0
    page = (work / 'dev/report.html').read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    headings = re.findall('<h2>(.*?)</h2>', page)
    assert headings == [
        'Results', 'Differences from a', 'Budget', 'Loss curves',
        'Features while training', 'Forgetting', 'Gradient conflict',
        'Embeddings'
    ]
    assert page.count('<h3>cosine of a and b</h3>') == 1
    assert page.count('<h3>norm of a</h3>') == 1
    assert 'No row has several stages' in page
    assert 'Not measured: no row has MonitorHook' in page
    assert 'Not kept: no evaluation' in page
