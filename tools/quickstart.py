# Copyright (c) mmmultissl contributors. All rights reserved.
"""The whole chain at a small size, on generated images and sounds.

``tools/quickstart.sh`` installs what is missing and then calls this.
"""
import argparse
import fcntl
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from show_progress import words_for
from step_runner import Runner, Step

OUT = Path('work_dirs/quickstart')
DATA, RUNS = OUT / 'data', OUT / 'runs'
PACKAGE = Path('mmmultissl')
# Sides of the images in the evaluation, in pixels.
SIZE = '96'
# Run, what it is called, config of its pretraining.
PRETRAININGS = (
    ('both', 'MoCo v2 and DenseCL',
     'configs/demo/multissl_densecl_r18_demo.py'),
    ('moco', 'MoCo v2', 'configs/demo/moco_r18_demo.py'),
    ('densecl', 'DenseCL', 'configs/demo/densecl_r18_demo.py'),
)
DETECTOR = 'configs/demo/faster-rcnn_r18_fpn_demo.py'
# Scenes and runs of the binaural leg.
SCENES, BINAURAL = OUT / 'scenes', OUT / 'binaural'
BINAURAL_TASKS = 'configs/demo/binaural_demo.py'
# Downstream task, what it is called, seconds that it usually takes.
DOWNSTREAM = (
    ('s3r', 'the other headings', 60),
    ('retrieval', 'retrieval', 45),
    ('semantic', 'semantic prediction', 40),
    ('azimuth', 'azimuth', 25),
)
# Leg -> minutes on 2 free cores without a GPU.
LEGS = dict(images=6, binaural=4)
NOTE = ('Generated images and sounds, one seed, minutes of training: the '
        'numbers show that the chain works and that each task learns. Which '
        'of the trained rows is best changes with the seed. They say nothing '
        'about photographs and recordings, and cannot be compared with '
        'published ones.')
READ = dict(
    images='mAP and AP50 are percentages; "random" has no pretraining; the '
    'tasks were\ntrained for the same number of updates, alone and together.',
    binaural='Accuracies are percentages, on sounds and directions that were '
    'kept out; a\ndownstream head was trained on each backbone, which stayed '
    'as it was; "guess" is\nthe best answer without learning.')
NEXT = dict(
    images='''  # your own images, in any folder
  python tools/train.py configs/multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py \\
      --cfg-options train_dataloader.dataset.data_root=/path/to/images''',
    binaural='''  # your own stereo sound, any folder of videos or sound files
  python tools/dataset_converters/stereo_folder.py /path/to/recordings work_dirs/stereo'''
)


def with_parents(config: str) -> Tuple[Path, ...]:
    """List a config and those that it inherits from, in this checkout.

    Args:
        config (str): Its path.

    Returns:
        tuple[Path]: The files.
    """
    file = Path(config)
    stated = re.search(r'^_base_ = (\[.*?\]|\S+)', file.read_text(),
                       re.MULTILINE | re.DOTALL)
    # Parents in other packages have a double colon.
    names = re.findall(r"'(.*?)'", stated[1]) if stated else []
    return (file, *(each for name in names if '::' not in name
                    for each in with_parents(str(file.parent / name))))


def image_steps(python: str) -> List[Step]:
    """List the steps on images, the longest way through them first.

    Args:
        python (str): The interpreter.

    Returns:
        list[Step]: The steps.
    """

    def evaluation(run: str, title: str, config: str, checkpoint: str,
                   needs: Tuple[str, ...]) -> Step:
        out = RUNS / run / 'voc07.json'
        return Step(
            f'evaluate_{run}', f'Evaluating {title}', 17,
            (python, 'tools/voc07.py', config, checkpoint, '--probes', 'svm',
             'knn', '--neighbours', '20', '--data-root', str(DATA), '--size',
             SIZE, '--num-workers', '1', '--out', str(out)), needs, out,
            with_parents(config))

    def detection(run: str, title: str, option: str,
                  needs: Tuple[str, ...]) -> Step:
        work = RUNS / run / 'detect'
        return Step(
            f'detect_{run}', f'Detection from {title}', 130,
            (python, 'tools/train.py', DETECTOR, '--work-dir', str(work),
             '--resume', '--cfg-options', option, 'randomness.seed=0',
             'train_dataloader.num_workers=1', 'val_dataloader.num_workers=1'),
            needs, work, with_parents(DETECTOR))

    steps = [
        Step('data', 'Generating images', 30,
             (python, 'tools/make_demo_images.py', str(DATA)), (), DATA,
             tuple(sorted(PACKAGE.glob('datasets/demo_*.py'))))
    ]
    for run, title, config in PRETRAININGS:
        work = RUNS / run / 'pretrain'
        steps.append(
            Step(f'pretrain_{run}', f'Pretraining {title}', 150,
                 (python, 'tools/train.py', config, '--work-dir', str(work),
                  '--resume'), ('data', ), work, with_parents(config)))
    last = {
        run: RUNS / run / 'pretrain/last_checkpoint'
        for run, _, _ in PRETRAININGS
    }
    steps += [
        detection('both', 'both tasks\' backbone',
                  f'model.backbone.init_cfg.checkpoint=@{last["both"]}',
                  ('pretrain_both', )),
        detection('random', 'random weights', 'model.backbone.init_cfg=None',
                  ('data', )),
        evaluation('random', 'random weights', PRETRAININGS[0][2], 'random',
                   ('data', ))
    ]
    steps += [
        evaluation(run, title, config, f'@{last[run]}', (f'pretrain_{run}', ))
        for run, title, config in PRETRAININGS
    ]
    return steps


def binaural_steps(python: str) -> List[Step]:
    """List the steps on binaural sound, the longest way through them first.

    Args:
        python (str): The interpreter.

    Returns:
        list[Step]: The steps.
    """

    def downstream(run: str, title: str, option: str,
                   need: str) -> List[Step]:
        steps = []
        for task, name, usual in DOWNSTREAM:
            config = f'configs/demo/binaural_{task}_demo.py'
            work = BINAURAL / run / task
            steps.append(
                Step(f'{task}_{run}', f'Binaural: {name} from {title}', usual,
                     (python, 'tools/train.py', config, '--work-dir',
                      str(work), '--resume', '--cfg-options', option),
                     (need, ), work, with_parents(config)))
        return steps

    work, scores = BINAURAL / 'pretrain', BINAURAL / 'pretext.json'
    last = f'@{work}/last_checkpoint'
    parents = with_parents(BINAURAL_TASKS)
    return [
        Step('scenes', 'Simulating scenes', 20,
             (python, 'tools/simulate_scenes.py', str(SCENES), '--sources',
              '1', '1', '--off', '0.1', '0.4', '--seconds', '12',
              '--recordings', '64', '0', '20'),
             (), SCENES,
             tuple(sorted(PACKAGE.glob('datasets/binaural/simulate/*.py')))),
        Step('pretrain_binaural', 'Pretraining three binaural tasks', 160,
             (python, 'tools/train.py', BINAURAL_TASKS, '--work-dir',
              str(work), '--resume'), ('scenes', ), work, parents),
        *downstream('pretrained', 'the pretrained backbone',
                    f'model.backbone.init_cfg.checkpoint={last}',
                    'pretrain_binaural'),
        Step('judge_binaural', 'Held-out accuracy of the binaural tasks', 15,
             (python, 'tools/test.py', BINAURAL_TASKS, last, '--work-dir',
              str(BINAURAL / 'judge'), '--out', str(scores), '--out-item',
              'metrics'), ('pretrain_binaural', ), scores, parents),
        *downstream('random', 'random weights', 'model.backbone.init_cfg=None',
                    'scenes'),
    ]


def make_steps(python: str, legs: Sequence[str] = tuple(LEGS)) -> List[Step]:
    """List all steps, and last the report on them.

    Args:
        python (str): The interpreter.
        legs (Sequence[str]): Of ``LEGS``. Defaults to all.

    Returns:
        list[Step]: The steps.
    """
    steps, words = [], []
    files = [*PACKAGE.glob('visualization/report/*.py')]
    if 'images' in legs:
        steps += image_steps(python)
        words += [
            str(RUNS), '--data-root', str(DATA), '--size', SIZE, '--runs',
            'random', 'moco', 'densecl', 'both'
        ]
    if 'binaural' in legs:
        steps += binaural_steps(python)
        words += ['--binaural', str(BINAURAL)]
        files += PACKAGE.glob('visualization/report/binaural/*.py')
    steps.append(
        Step('report', 'Writing the report', 30 * len(legs),
             (python, 'tools/report.py', *words, '--out',
              str(OUT / 'report.html'), '--text', str(OUT / 'report.txt'),
              '--title', 'mmmultissl quickstart', '--note', NOTE),
             tuple(step.name for step in steps), OUT / 'report.html',
             tuple(sorted(files)), (OUT / 'report.txt', )))
    return steps


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the chain; see the module's text.

    Args:
        arguments (list[str] | None): The arguments, for tests; None means
            those of the process. Defaults to None.

    Returns:
        int: The exit status.
    """
    parser = argparse.ArgumentParser(description='The whole chain, small.')
    parser.add_argument(
        '--fresh', action='store_true', help=f'remove {OUT} and begin anew')
    parser.add_argument(
        '--only', choices=LEGS, help='run one half [both]')
    args = parser.parse_args(arguments)
    legs = [args.only] if args.only else [*LEGS]

    OUT.parent.mkdir(parents=True, exist_ok=True)
    lock = open(OUT.parent / '.quickstart.lock', 'w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(
            f'Another quickstart is at work in {OUT}, or trainings that one '
            'left behind when it was killed: wait for their end, or end them.',
            file=sys.stderr)
        return 1
    if args.fresh:
        shutil.rmtree(OUT, ignore_errors=True)
    # mmdet wants the folder's name to say which VOC it is.
    voc = OUT / 'VOCdevkit' / 'VOC2007'
    if 'images' in legs and not voc.is_symlink():
        voc.parent.mkdir(parents=True, exist_ok=True)
        voc.symlink_to('../data')

    lanes = min(4, cores())
    threads = str(max(1, min(8, cores() // lanes)))
    steps = make_steps(os.path.relpath(sys.executable), legs)
    minutes = sum(LEGS[leg] for leg in legs)
    print(f'[quickstart] {len(steps)} steps on generated images and sounds, '
          f'about {minutes} minutes on 2 free cores without a GPU; {lanes} at '
          f'a time here; logs are in {OUT}/logs')
    start = time.monotonic()
    environment = dict(
        os.environ,
        VOC_ROOT=str(voc.parent),
        OMP_NUM_THREADS=threads,
        MKL_NUM_THREADS=threads,
        PYTHONUNBUFFERED='1')
    try:
        # A killed quickstart leaves its commands behind: they hold the lock.
        runner = Runner(steps, OUT, lanes, environment, (lock.fileno(), ))
        status = runner.run()
    except KeyboardInterrupt:
        print('\n[quickstart] Interrupted; run it again and it goes on where '
              'it stopped.')
        return 130
    if status:
        return status
    print(f'''
{_last_words(runner, time.monotonic() - start)}

{(OUT / "report.txt").read_text()}
{NOTE}

{chr(10).join(READ[leg] for leg in legs)}
The report, one file to open in a browser: {OUT / "report.html"}

Next:
  . .venv/bin/activate
{chr(10).join(NEXT[leg] for leg in legs)}
The README tells the rest: ImageNet, VOC07, COCO, OmniAudio, several GPUs.''')
    return 0


def _last_words(runner: Runner, seconds: float) -> str:
    if not runner.ran:
        return ('Everything was done before; tools/quickstart.sh --fresh does '
                'it again.')
    if runner.ran == len(runner.steps):
        return f'The whole chain ran in {words_for(seconds)}.'
    return (f'The last {runner.ran} of {len(runner.steps)} steps ran in '
            f'{words_for(seconds)}; the others were done before.')


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == '__main__':
    # The end of the terminal or of the calling script is an interrupt too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    sys.exit(main())
