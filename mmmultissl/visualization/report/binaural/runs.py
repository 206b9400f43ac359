# Copyright (c) mmmultissl contributors. All rights reserved.
"""What a binaural pretraining and its downstream runs left on the disk."""
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmpretrain.structures import DataSample

from mmmultissl.datasets.binaural.clips import BinauralClips
from mmmultissl.registry import DATASETS

from ..runs import PRETRAINING, RANDOM, WorkDir
from ..trained import load_trained

SCORES = 'pretext.json'
# The downstream tasks, in the order of the page.
DOWNSTREAM = ('azimuth', 'retrieval', 's3r', 'semantic')
# Clips that are predicted at once.
_BATCH = 64


class BinauralRuns(NamedTuple):
    """A pretraining with binaural tasks, and what came of it.

    Attributes:
        pretraining (WorkDir): Of ``tools/train.py``.
        scores (dict): What ``tools/test.py --out-item metrics`` wrote.
        downstream (dict[str, dict[str, WorkDir]]): Task to the backbone's
            name, ``random`` first, to the work dir of its training.
    """
    pretraining: WorkDir
    scores: Dict[str, float]
    downstream: Dict[str, Dict[str, WorkDir]]


def find_binaural_runs(folder: Path) -> BinauralRuns:
    """Find the runs in a folder.

    ::

        FOLDER/
          pretrain/                        work dir of the pretraining
          pretext.json                     its held-out accuracies
          random/      azimuth/ ...        downstream from random weights
          pretrained/  azimuth/ s3r/ ...   downstream from the checkpoint

    Args:
        folder (Path): The folder.

    Returns:
        BinauralRuns: The runs.

    Raises:
        FileNotFoundError: If the pretraining or its scores are missing.
    """
    scores = folder / SCORES
    if not scores.is_file():
        raise FileNotFoundError(
            f'{scores} is missing: write it with tools/test.py CONFIG '
            f'CHECKPOINT --out {scores} --out-item metrics.')
    downstream: Dict[str, Dict[str, WorkDir]] = {}
    names = sorted((path.name for path in folder.iterdir() if path.is_dir()
                    and path.name != PRETRAINING),
                   key=lambda name: (name != RANDOM, name))
    for task in DOWNSTREAM:
        found = {
            name: WorkDir(folder / name / task)
            for name in names if (folder / name / task).is_dir()
        }
        if found:
            downstream[task] = found
    return BinauralRuns(
        WorkDir(folder / PRETRAINING), json.loads(scores.read_text()),
        downstream)


def some_run(runs: BinauralRuns) -> WorkDir:
    """Choose the first downstream run.

    Args:
        runs (BinauralRuns): With one at least.

    Returns:
        WorkDir: The run.
    """
    return next(iter(next(iter(runs.downstream.values())).values()))


def figures_of(work: WorkDir) -> Dict[str, float]:
    """Read what a downstream run was last judged by.

    Args:
        work (WorkDir): Its work dir.

    Returns:
        dict[str, float]: Name to figure.

    Raises:
        ValueError: If it was never judged.
    """
    judged = [line for line in work.scalars() if 'loss' not in line]
    if not judged:
        raise ValueError(f'{work.path} was trained but never judged: train it '
                         'with val_dataloader and val_evaluator.')
    return judged[-1]


class Predictor:
    """A downstream model with the clips that it was judged by.

    Args:
        work (WorkDir): Of its training.
    """

    def __init__(self, work: WorkDir) -> None:
        self.model: BaseModel = load_trained(work)
        self.clips: BinauralClips = DATASETS.build(
            work.config.val_dataloader.dataset)

    def first_clips(self, count: int) -> List[int]:
        """Choose clips by their place in the index, never by their looks.

        Args:
            count (int): How many at most.

        Returns:
            list[int]: The middle clip of each of the first recordings.
        """
        of: Dict[str, List[int]] = {}
        for number in range(len(self.clips)):
            name = self.clips.get_data_info(number)['recording']
            of.setdefault(name, []).append(number)
        return [its[len(its) // 2] for its in list(of.values())[:count]]

    @torch.no_grad()
    def predict(self,
                numbers: Optional[Sequence[int]] = None) -> List[DataSample]:
        """Predict.

        Args:
            numbers (Sequence[int], optional): Of the clips. Defaults to None:
                all.

        Returns:
            list[DataSample]: What the metric gets, in their order.
        """
        if numbers is None:
            numbers = range(len(self.clips))
        samples = []
        for first in range(0, len(numbers), _BATCH):
            batch = pseudo_collate([
                self.clips[number] for number in numbers[first:first + _BATCH]
            ])
            samples += self.model(
                **self.model.data_preprocessor(batch, False), mode='predict')
        return samples
