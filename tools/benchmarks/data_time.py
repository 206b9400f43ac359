# Copyright (c) mmmultissl contributors. All rights reserved.
"""Images per second of the data pipeline, beside the peers'.

    python tools/benchmarks/data_time.py CONFIG --workers 0 2
    python tools/benchmarks/data_time.py CONFIG --workers 0 2 \\
        --data-root FOLDER --enlarge 500 375

An image is read, decoded and made into two views, packed and put into batches.
All contenders take turns over the same files in one process, so a busy moment
of the machine hits each of them; read the ratios, which are medians over the
rounds of what was measured in the same round. With 0 workers the processor
time of this process is given too, which other work hardly changes.

``--enlarge`` first writes the images at another size into a temporary folder,
where those at hand are smaller than what is to be measured: then file size and
decoding are realistic, details of the picture are not.
"""
import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, default_collate
from mmengine.hub import get_config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmmultissl.datasets import SeededDataset
from mmmultissl.utils.command_line import SpacedDictAction

STOCK = 'mmpretrain::_base_/datasets/imagenet_bs32_mocov2.py'
NAMES = ('mmpretrain', 'ours', 'ours, reduced decoding', 'ours, deferred',
         'ours, deferred, reduced decoding', 'lightly')


def parse_args() -> argparse.Namespace:
    """Parse the arguments.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='a pretraining config')
    parser.add_argument('--data-root',
                        help="a folder of images in place of the config's")
    parser.add_argument('--images', type=int, default=200,
                        help='how many of the dataset')
    parser.add_argument('--enlarge', type=int, nargs=2,
                        metavar=('LONG', 'SHORT'),
                        help='write them at this size first, in pixels')
    parser.add_argument('--workers', type=int, nargs='+', default=[0])
    parser.add_argument('--batch-size', type=int, default=8,
                        help='small, so that few images make many batches')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--contenders', nargs='+', default=list(NAMES))
    parser.add_argument('--out', help='file for the figures, as json')
    parser.add_argument('--cfg-options', nargs='+', action=SpacedDictAction)
    return parser.parse_args()


class Listed(BaseDataset):
    """A list of files in mmengine's dataset.

    Args:
        paths (list[str]): The files.
        pipeline (list[dict]): The transforms.
    """

    def __init__(self, paths: List[str], pipeline: List[dict]) -> None:
        self.paths = paths
        super().__init__(pipeline=pipeline)

    def load_data_list(self) -> List[dict]:
        """The files as mmengine wants them.

        Returns:
            list[dict]: One ``dict(img_path=...)`` per file.
        """
        return [dict(img_path=path) for path in self.paths]


class Files(Dataset):
    """Lightly's views of a list of files, read as its documentation shows.

    Args:
        paths (list[str]): The files.
        transform (Callable): Makes views of a PIL image.
    """

    def __init__(self, paths: List[str], transform: Callable) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> list:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert('RGB'))


def enlarged(paths: List[str], long: int, short: int,
             folder: str) -> List[str]:
    """Write images at another size, JPEG at quality 95.

    Args:
        paths (list[str]): The images.
        long (int): Pixels of the long side.
        short (int): Pixels of the short side.
        folder (str): Where to write.

    Returns:
        list[str]: The new files.
    """
    new = []
    for number, path in enumerate(paths):
        image = cv2.imread(path)
        wide = image.shape[1] >= image.shape[0]
        image = cv2.resize(image, (long, short) if wide else (short, long),
                           interpolation=cv2.INTER_CUBIC)
        new.append(str(Path(folder) / f'{number:06}.jpg'))
        cv2.imwrite(new[-1], image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return new


def pipeline_of(name: str, own: list, size: int) -> list:
    """The pipeline of a contender.

    Args:
        name (str): One of :data:`NAMES`, but not lightly.
        own (list): The config's pipeline.
        size (int): Pixels of a view.

    Returns:
        list[dict]: The pipeline.
    """
    if name == 'mmpretrain':
        stock = get_config(STOCK)
        stock.view_pipeline[0].scale = size
        stock.train_pipeline[1].transforms = [stock.view_pipeline]
        return stock.train_pipeline
    own = copy.deepcopy(own)
    if 'reduced' in name:
        own[0].reduce_for = copy.deepcopy(own[1].transforms[0][0])
    if 'deferred' in name:
        own[1].defer = True
    return own


def make_dataset(name: str, cfg: Config, paths: List[str]) -> Dataset:
    """Build the dataset of a contender.

    Args:
        name (str): One of :data:`NAMES`.
        cfg (Config): The config.
        paths (list[str]): The images.

    Returns:
        Dataset: The dataset, in SeededDataset where it is ours.

    Raises:
        ImportError: If lightly is not installed.
    """
    pipeline = cfg.train_dataloader.dataset.pipeline
    size = pipeline[1].transforms[0][0].scale
    if name == 'lightly':
        from lightly.transforms import MoCoV2Transform
        return Files(paths, MoCoV2Transform(input_size=size))
    dataset = Listed(paths, pipeline_of(name, pipeline, size))
    return dataset if name == 'mmpretrain' else SeededDataset(dataset, seed=0)


class Contender:
    """One way to make batches of views.

    Args:
        name (str): One of :data:`NAMES`.
        dataset (Dataset): Its dataset.
        batch_size (int): Images in a batch.
    """

    def __init__(self, name: str, dataset: Dataset, batch_size: int) -> None:
        self.name, self.dataset, self.batch_size = name, dataset, batch_size

    def batches(self, workers: int, turn: int) -> DataLoader:
        """A loader over all images once.

        Args:
            workers (int): Worker processes.
            turn (int): The round, for another draw of the augmentations.

        Returns:
            DataLoader: The loader.
        """
        indices = range(len(self.dataset))
        if isinstance(self.dataset, SeededDataset):
            indices = [(index, turn) for index in indices]
        return DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            sampler=indices,
            num_workers=workers,
            collate_fn=default_collate,
            drop_last=True)

    def pace(self, workers: int, turn: int) -> Dict[str, float]:
        """Run once over the images.

        The first batches, for which workers have to start, do not count.

        Args:
            workers (int): Worker processes.
            turn (int): The round.

        Returns:
            dict[str, float]: ``wall`` and ``cpu`` seconds per image; ``cpu``
            is this process's.
        """
        loader = self.batches(workers, turn)
        stream = iter(loader)
        skipped = max(1, workers)
        for _ in range(skipped):
            next(stream)
        wall, cpu = time.perf_counter(), time.process_time()
        count = sum(self.batch_size for _ in stream)
        return dict(
            wall=(time.perf_counter() - wall) / count,
            cpu=(time.process_time() - cpu) / count)


def measure(contenders: List[Contender], workers: int, rounds: int) -> dict:
    """Let the contenders take turns.

    Args:
        contenders (list[Contender]): The contenders.
        workers (int): Worker processes.
        rounds (int): How often each has its turn.

    Returns:
        dict[str, list[dict]]: Name -> what each round gave.
    """
    found = {each.name: [] for each in contenders}
    for turn in range(rounds):
        start = time.perf_counter()
        for each in contenders:
            found[each.name].append(each.pace(workers, turn))
        left = (time.perf_counter() - start) * (rounds - 1 - turn)
        print(f'{workers} workers, round {turn + 1}/{rounds}, '
              f'about {left:.0f} s left', file=sys.stderr, flush=True)
    return found


def report(found: dict, workers: int) -> dict:
    """Print the table of one number of workers.

    Args:
        found (dict): What :func:`measure` gave.
        workers (int): Worker processes.

    Returns:
        dict: The figures of the table.
    """
    table = {}
    stock = found.get('mmpretrain')
    head = f'\n{f"{workers} workers":36}{"images / s":>12}'
    head += f'{"x mmpretrain":>14}'
    if not workers:
        head += f'{"CPU ms / image":>16}{"x mmpretrain":>14}'
    print(head)
    for name, turns in found.items():
        row = dict(images_per_second=1 /
                   statistics.median(t['wall'] for t in turns))
        kinds = ['wall'] if workers else ['wall', 'cpu']
        for kind in kinds if stock else []:
            row[f'{kind}_ratio'] = statistics.median(
                theirs[kind] / mine[kind]
                for theirs, mine in zip(stock, turns))
        line = f'{name:36}{row["images_per_second"]:12.1f}'
        line += f'{row.get("wall_ratio", float("nan")):14.2f}'
        if not workers:
            row['cpu_ms'] = 1e3 * statistics.median(t['cpu'] for t in turns)
            line += f'{row["cpu_ms"]:16.2f}'
            line += f'{row.get("cpu_ratio", float("nan")):14.2f}'
        print(line)
        table[name] = row
    return table


def time_on_device(contender: Contender, cfg: Config) -> float:
    """Time what deferred views still need on the device.

    Args:
        contender (Contender): One with deferred views.
        cfg (Config): The config.

    Returns:
        float: Milliseconds per image, both views.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    options = dict(cfg.data_preprocessor, type='mmmultissl.DeferredViews')
    preprocessor = MODELS.build(options).to(device)
    batch = next(iter(contender.batches(0, 0)))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        preprocessor(batch, True)
        if device.type == 'cuda':
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    found = 1e3 * statistics.median(seconds) / contender.batch_size
    print(f'\nfinishing deferred views on {device}: {found:.2f} ms / image')
    return found


def main() -> None:
    """Measure and print."""
    args = parse_args()
    # As in training: mmengine's opencv_num_threads, torch's workers.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    cfg = Config.fromfile(args.config)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), \
            tempfile.TemporaryDirectory() as folder:
        source = cfg.train_dataloader.dataset
        if args.data_root:
            source = dict(
                type='mmmultissl.ImageFolder', data_root=args.data_root)
        source = DATASETS.build(source)
        step = max(1, len(source) // args.images)
        paths = [source.get_data_info(i)['img_path']
                 for i in range(0, len(source), step)][:args.images]
        if args.enlarge:
            paths = enlarged(paths, *args.enlarge, folder)
        contenders = []
        for name in args.contenders:
            try:
                dataset = make_dataset(name, cfg, paths)
            except ImportError as error:
                print(f'left out: {name}, {error}', file=sys.stderr)
                continue
            contenders.append(Contender(name, dataset, args.batch_size))
        setting = dict(
            config=args.config, images=len(paths), enlarge=args.enlarge,
            mean_bytes=sum(Path(p).stat().st_size for p in paths) / len(paths),
            batch_size=args.batch_size, rounds=args.rounds,
            torch=torch.__version__, cv2=cv2.__version__)
        tables = {}
        for workers in args.workers:
            found = measure(contenders, workers, args.rounds)
            tables[workers] = report(found, workers)
        for each in contenders:
            if each.name == 'ours, deferred':
                setting['device_ms'] = time_on_device(each, cfg)
    print(setting)
    if args.out:
        Path(args.out).write_text(
            json.dumps(dict(setting=setting, tables=tables), indent=2) + '\n')


if __name__ == '__main__':
    main()
