# Copyright (c) mmmultissl contributors. All rights reserved.
"""A comparison of commands that take no time: what they do is known."""
import importlib.util
import json
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / 'tools'

# Trains nothing: its checkpoint says what it was made of.
TRAIN = '''
import json, os, pathlib, runpy, sys, time
config, _, work, resume = sys.argv[1:]
assert resume == '--resume'
cfg = runpy.run_path(config)
work = pathlib.Path(work)
work.mkdir(parents=True, exist_ok=True)
if cfg['model'].get('wait') and not (work / 'begun').exists():
    (work / 'begun').write_text('')
    time.sleep(60)
if os.path.exists(cfg['model'].get('fails_if', '')):
    print('the reason of the failure')
    sys.exit(3)
seed, steps = cfg['randomness']['seed'], cfg['train_cfg']['max_iters']
teacher = cfg['model'].get('teacher')
file = work / f'iter_{steps}.pth'
file.write_text(json.dumps(dict(
    level=cfg['model']['level'], seed=seed, resumed=(work / 'begun').exists(),
    teacher=json.loads(open(teacher).read()) if teacher else None,
    sha256=cfg['model'].get('sha256'))))
(work / 'last_checkpoint').write_text(str(file))
log = work / 'now' / 'vis_data'
log.mkdir(parents=True, exist_ok=True)
lines = [{'step': step, 'time': .5, 'loss': 1., 'task.loss': 5 - step}
         for step in range(1, steps + 1)]
lines += [{'step': step, 'monitor/gradient/cosine/a:b': .1 * step,
           'monitor/gradient/norm/a': 1.} for step in (1, 2)]
(log / 'scalars.json').write_text(
    ''.join(json.dumps(line) + chr(10) for line in lines))
with open(cfg['order'], 'a') as order:
    order.write(f'{work.parent.parent.name}{seed} ')
'''
# The figure is a function of row and seed.
JUDGE = '''
import json, sys
checkpoint, out, list_ = sys.argv[1:]
content = json.loads(open(checkpoint).read())
value = content['level'] + [0, .5, -.25][content['seed']] * content['level']
json.dump(dict(good=dict(score=value / 100), bad=[1, 100 - value],
               list=list_), open(out, 'w'))
'''


def load_compare():
    """Import the tool as a script beside the others would.

    Returns:
        module: ``tools/compare.py``.
    """
    sys.path.insert(0, str(TOOLS))
    try:
        spec = importlib.util.spec_from_file_location('compare',
                                                      TOOLS / 'compare.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(TOOLS))
    return module


def write_comparison(folder, rows=None, **settings):
    """Write a comparison of three rows, and its scripts.

    Args:
        folder (Path): Where to.
        rows (dict, optional): Changes of the rows. Defaults to None.
        **settings: Other settings of the comparison.

    Returns:
        Path: Its config.
    """
    (folder / 'train.py').write_text(TRAIN)
    (folder / 'judge.py').write_text(JUDGE)
    base = folder / 'row.py'
    base.write_text(f'''
model = dict(level=10.)
train_cfg = dict(type='mmmultissl.PretrainLoop', max_epochs=7)
train_dataloader = dict(batch_size=16)
optim_wrapper = dict(accumulative_counts=1)
randomness = dict(seed=None)
order = {str(folder / 'order')!r}
''')
    listed = dict(
        a=dict(config=str(base)),
        b=dict(config=str(base), cfg_options={'model.level': 20.}),
        c=dict(config=str(base), cfg_options={'model.level': 12.}))
    for name, changes in (rows or {}).items():
        if changes is None:
            listed.pop(name)
        else:
            listed.setdefault(name, dict(config=str(base))).update(changes)
    content = dict(
        dict(
            total_updates=6,
            seeds=[0, 1, 2],
            reference='a',
            baselines=['a', 'b'],
            train_command=['{python}', str(folder / 'train.py'), '{config}'],
            rows=listed,
            evaluations=dict(
                judge=dict(
                    kind='command',
                    command=[
                        '{python}', str(folder / 'judge.py'), '{checkpoint}',
                        '{out}'
                    ],
                    dev=dict(args=['dev']),
                    test=dict(args=['test']),
                    metrics=dict(
                        score=dict(key='good.score', scale=100.),
                        error=dict(key='bad.1', higher_is_better=False))))),
        **settings)
    file = folder / 'comparison.py'
    file.write_text(''.join(f'{key} = {value!r}\n'
                            for key, value in content.items()))
    return file


def figure(level, seed):
    """Compute what the judge finds.

    Args:
        level (float): Of the row.
        seed (int): The seed.

    Returns:
        float: Its score.
    """
    return level * (1 + [0, .5, -.25][seed])


def read_table(folder, mode='dev'):
    """Read the table of a comparison.

    Args:
        folder (Path): Its folder.
        mode (str): Which lists. Defaults to ``'dev'``.

    Returns:
        dict: The content of ``table.json``.
    """
    return json.loads((folder / mode / 'table.json').read_text())
