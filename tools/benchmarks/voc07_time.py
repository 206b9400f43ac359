# Copyright (c) mmmultissl contributors. All rights reserved.
"""Time of the SVM and low-shot SVM, and their mAP beside scikit-learn's.

    python tools/voc07_svm.py configs/voc07/svm_resnet18_128px.py random \\
        --save-features FEATURES.npy
    python tools/benchmarks/voc07_time.py FEATURES.npy \\
        --data-root data/VOCdevkit/VOC2007

First the features as they are, on a few classes, by both solvers: full SVM
and every number of shots. Then a set of VOC2007's size, 5,011 + 4,952 images
with 2,048 numbers, made of the same features: a block of the numbers is 0.7
times those of one real image (whose labels are kept) and 0.3 times those of
another one, each number times 1 + 0.5 times normal noise, cut at zero. Images
of both halves share their origins, so its mAP says nothing; its time does.
"""
import argparse
import time
from typing import Tuple

import numpy as np
import torch
from torch import Tensor

from mmmultissl.evaluation.svm import (BatchedLinear, LowShotProtocol,
                                       SVMProtocol, evaluate_low_shot,
                                       evaluate_svm, prepare, read_voc_lists)
from mmmultissl.evaluation.svm.full import total_effort
from mmmultissl.evaluation.svm.low_shot import low_shot_effort
from mmmultissl.evaluation.svm.report import Progress
from mmmultissl.evaluation.voc07.protocol import PRESETS

NUM_TRAIN, NUM_TEST = 5011, 4952


def parse_args() -> argparse.Namespace:
    """Parse the arguments.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('features', help='npy, of trainval and test')
    parser.add_argument('--data-root', default='data/VOCdevkit/VOC2007')
    parser.add_argument('--preset', choices=PRESETS, default='mmselfsup')
    parser.add_argument(
        '--threads', type=int, default=2, help='of torch [2]')
    parser.add_argument('--device', default='cpu', help='[cpu]')
    parser.add_argument(
        '--dim', type=int, default=2048, help='numbers per image, a multiple '
        'of the features\' [2048]')
    parser.add_argument(
        '--classes', type=int, default=4, help='how many classes to compare '
        'with scikit-learn on the real features, 0 for none [4]')
    parser.add_argument(
        '--large-classes', type=int, default=0, help='the same on the made '
        'features; minutes to hours each [0]')
    parser.add_argument(
        '--no-time', action='store_true', help='compare only')
    return parser.parse_args()


def enlarge(features: Tensor, labels: np.ndarray, num: int, dim: int,
            rng: np.random.Generator) -> Tuple[Tensor, np.ndarray]:
    """Make a larger set of a small one, as the module's text says.

    Args:
        features (Tensor): Of one split, (N, D).
        labels (np.ndarray): (N, classes).
        num (int): Number of images to make.
        dim (int): Numbers per image, a multiple of D.
        rng (np.random.Generator): Draws.

    Returns:
        tuple[Tensor, np.ndarray]: (num, dim), float32, and (num, classes).
    """
    real = features.numpy()
    own = rng.integers(0, len(real), num)
    blocks = []
    for _ in range(dim // real.shape[1]):
        other = rng.integers(0, len(real), num)
        mixed = 0.7 * real[own] + 0.3 * real[other]
        mixed *= 1 + 0.5 * rng.standard_normal(mixed.shape)
        blocks.append(mixed.clip(min=0).astype(np.float32))
    return torch.from_numpy(np.concatenate(blocks, 1)), labels[own]


def evaluate(data: tuple, preset: str, solver: str, name: str,
             negatives: int) -> dict:
    """Run the full and the low-shot SVMs.

    Args:
        data (tuple): Features, labels, of both splits, and classes.
        preset (str): Whose costs.
        solver (str): ``'batched'`` or ``'sklearn'``.
        name (str): For the progress.
        negatives (int): Negative images per positive one.

    Returns:
        dict: ``mAP`` by what it is of (full, k=1, ...), ``seconds`` of
        preparing, full and low-shot SVMs.
    """
    protocol = SVMProtocol(costs=PRESETS[preset]['costs'], solver=solver)
    low_shot = LowShotProtocol(negatives=negatives)
    columns = range(len(data[4]))
    start = time.perf_counter()
    shared = BatchedLinear(prepare(data[0]))
    seconds = dict(basis=time.perf_counter() - start)
    full = evaluate_svm(
        *data, protocol,
        Progress(f'{name}, {solver}, full',
                 total_effort(protocol, len(data[4]))), shared)
    few = evaluate_low_shot(
        *data, protocol, low_shot,
        Progress(f'{name}, {solver}, low-shot',
                 low_shot_effort(data[1], columns, protocol, low_shot)),
        shared)
    seconds.update(full=full['seconds'], low_shot=few['seconds'])
    aps = dict(full=full['mAP'])
    for k, row in few['shots'].items():
        if row['classes']:
            aps[f'k={k} ({row["classes"]} classes)'] = row['mAP']
    return dict(mAP=aps, seconds=seconds,
                unconverged=full['unconverged_fits'] + few['unconverged_fits'])


def compare(data: tuple, preset: str, count: int, name: str) -> None:
    """Print both solvers' mAP on the first classes.

    Args:
        data (tuple): Features, labels, of both splits, and classes.
        preset (str): Whose costs.
        count (int): How many classes.
        name (str): Of the features.
    """
    few = (data[0], data[1][:, :count], data[2], data[3][:, :count],
           data[4][:count])
    ours, theirs = (
        evaluate(few, preset, solver, name, len(data[4]) - 1)
        for solver in ('batched', 'sklearn'))
    print(f'{name}: {len(data[0])} + {len(data[2])} x {data[0].shape[1]}, '
          f'classes {", ".join(few[4])}')
    print('| mAP | batched | scikit-learn | difference |')
    print('|---|---|---|---|')
    for what, value in ours['mAP'].items():
        other = theirs['mAP'][what]
        print(f'| {what} | {value:.3f} | {other:.3f} | {value - other:+.3f} |')
    for who, result in (('batched', ours), ('scikit-learn', theirs)):
        print(f'{who}: ' + ', '.join(
            f'{part} {s:.1f} s' for part, s in result['seconds'].items()))
    print(f'{theirs["unconverged"]} of scikit-learn\'s fits did not converge',
          flush=True)


def main() -> None:
    """Compare, and take the time."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    lists = read_voc_lists(args.data_root)
    train, test = lists['trainval'], lists['test']
    features = torch.from_numpy(np.load(args.features, allow_pickle=False))
    if len(features) != len(train.ids) + len(test.ids):
        raise ValueError(
            f'{args.features} holds {len(features)} images, but '
            f'{args.data_root} lists {len(train.ids) + len(test.ids)}: make '
            'it with tools/voc07_svm.py --save-features on that folder.')
    halves = features.split([len(train.ids), len(test.ids)])
    classes = train.classes
    if args.classes:
        compare((halves[0], train.labels, halves[1], test.labels, classes),
                args.preset, args.classes, 'real')

    rng = np.random.default_rng(0)
    large = (*enlarge(halves[0], train.labels, NUM_TRAIN, args.dim, rng),
             *enlarge(halves[1], test.labels, NUM_TEST, args.dim, rng),
             classes)
    if args.large_classes:
        compare(large, args.preset, args.large_classes, 'made')
    if args.no_time:
        return
    device = torch.device(args.device)
    large = (large[0].to(device), large[1], large[2].to(device), *large[3:])
    cpu = time.process_time()
    found = evaluate(large, args.preset, 'batched', 'made', len(classes) - 1)
    cpu = time.process_time() - cpu
    print(f'made: {NUM_TRAIN} + {NUM_TEST} x {args.dim}, {len(classes)} '
          f'classes, {args.preset}, {args.device}, {args.threads} threads')
    for part, seconds in found['seconds'].items():
        print(f'| {part} | {seconds:.1f} s |')
    print(f'| together | {sum(found["seconds"].values()):.1f} s '
          f'({cpu:.1f} s of processor time) |')


if __name__ == '__main__':
    main()
