# Copyright (c) mmmultissl contributors. All rights reserved.
"""The demo's rows end to end, for a handful of updates."""
import json

import pytest

from .small import load_compare, read_table


@pytest.mark.slow
def test_multitask_and_incremental_rows_of_the_demo(tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    config = tmp_path / 'two_rows.py'
    config.write_text('''
_base_ = 'mmmultissl::compare/images_demo.py'
total_updates = 6
images = '{work_dir}/images'
prepare = dict(images=dict(command=[
    '{python}', 'tools/make_demo_images.py', images, '--num-train', '80',
    '--num-test', '20', '--size', '64']))
rows = dict(
    random=None, moco=None, densecl=None, moco_half=None, densecl_half=None,
    moco_third=None, densecl_third=None, concat=None, progressive=None,
    amalgamation_euclidean=None, amalgamation_contrastive=None,
    incremental=dict(sweep=dict(orders=[['densecl', 'moco']])))
baselines = []
cfg_options = {
    'default_hooks.logger.interval': 1,
    'train_dataloader.batch_size': 8,
    'custom_hooks': [dict(
        type='mmmultissl.MonitorHook', gradients=dict(interval=1),
        rank=dict(interval=1), earlier_tasks=dict())]}
evaluations = dict(voc07=dict(args=[
    '--data-root', '{lists:voc}', '--probes', 'svm', 'knn', '--costs', '1',
    '--neighbours', '5', '--size', '64', '--num-workers', '0']))
''')
    work = tmp_path / 'work'
    assert load_compare().main([str(config), '--work-dir', str(work)]) == 0
    table = read_table(work)
    names = ['multitask', 'incremental_densecl-moco_euclidean',
             'incremental_densecl-moco_contrastive']
    assert [*table['rows']] == names and not table['missing']
    for name in names:
        row = table['rows'][name]
        assert row['budget']['total'] == 6 and row['seconds']['mean'] > 0
        for figure in ('SVM mAP', 'kNN mAP'):
            assert 0 < row['evaluations'][figure]['spread']['mean'] < 100
        # What was judged is what was trained.
        folder = work / 'runs' / name / 'seed0'
        judged = json.loads((folder / 'voc07.dev.json').read_text())
        record = json.loads(
            (work / 'records' / f'{name}.seed0.pretrain.json').read_text())
        assert record['checkpoint_sha256'][:16] in judged['choices'][
            'checkpoint']
    stages = work / 'runs' / names[1] / 'seed0' / 'pretrain'
    assert [json.loads((stages / place / 'stage.json').read_text())['updates']
            for place in ('1_densecl', '2_moco')] == [3, 3]
    # The other distance remembers the same first stage.
    second = work / 'runs' / names[2] / 'seed0' / 'pretrain'
    assert (second / '1_densecl' / 'stage.json').read_bytes() == (
        stages / '1_densecl' / 'stage.json').read_bytes()
    assert 'densecl: taken over from' in (
        work / 'logs' / f'{names[2]}.seed0.pretrain.log').read_text()
    page = (work / 'dev' / 'report.html').read_text()
    # The monitor measures the last iteration too.
    assert '<th>after</th><th>densecl</th>' in page
    assert '<h3>cosine of moco and remember</h3>' in page
    assert 'easured but once' not in page
    assert 'Not measured' not in page and 'of the variance' in page
