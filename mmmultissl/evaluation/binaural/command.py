# Copyright (c) mmmultissl contributors. All rights reserved.
"""Sound events by linear SVMs, with the backbone of any binaural config."""
import argparse
import os.path as osp
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mmmultissl.datasets import BinauralClips
from mmmultissl.datasets.binaural.columns import INFO_FILE
from mmmultissl.engine.backbone_weights import fill_backbone
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import SpacedDictAction, read_config

from ..svm.features import FrozenEncoder, extract_features
from ..svm.report import (Progress, format_choices, in_words, versions,
                          write_json)
from .fold_svm import COSTS, FoldClips, evaluate_folds

_VIEW = 'clip'


def parse_args(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): None takes the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='Sound events by folds: features of a frozen backbone, '
        'one linear SVM per class, accuracy of recordings')
    parser.add_argument(
        'config', help='of binaural pretraining or of a downstream task')
    parser.add_argument(
        'checkpoint', help='file, "random" for a random backbone, or '
        '"columns" for one of several with files of their own')
    parser.add_argument(
        '--data-root', required=True, help='binaural folder with classes and '
        'folds, as tools/dataset_converters/esc10.py writes it')
    parser.add_argument(
        '--costs', type=float, nargs='+', default=COSTS,
        help='to choose from on the training folds; a single one is taken '
        f'[{" ".join(f"{cost:g}" for cost in COSTS)}]')
    parser.add_argument(
        '--pool', choices=['avg', '2x2'], default='avg',
        help='avg: mean over frequency and time; 2x2: four windows [avg]')
    parser.add_argument(
        '--prefix', default='backbone.', help='where the checkpoint holds '
        'the backbone [backbone.]')
    parser.add_argument('--batch-size', type=int, default=64, help='[64]')
    parser.add_argument('--num-workers', type=int, default=2, help='[2]')
    parser.add_argument(
        '--seed', type=int, default=0, help='of a random backbone [0]')
    parser.add_argument('--device', help='such as cpu or cuda:0 [the best]')
    parser.add_argument('--work-dir', help='[./work_dirs/<config>]')
    parser.add_argument('--out', help='json [<work dir>/binaural_svm.json]')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpacedDictAction,
        help='override settings of the config, xxx=yyy')
    return parser.parse_args(arguments)


class _Numbered(Dataset):
    """Clips with what the extraction of features reads beside them."""

    def __init__(self, clips: BinauralClips) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        sample = self.clips[index]
        for name, value in (('sample_idx', index),
                            ('img_path',
                             self.clips.get_data_info(index)['name'])):
            sample['data_samples'].set_field(
                value, name, field_type='metainfo')
        return sample


def read_fold_clips(clips: BinauralClips) -> FoldClips:
    """Get classes, recordings and folds of clips.

    Args:
        clips (BinauralClips): Of a folder whose ``dataset.json`` has
            ``folds``, source recording to number.

    Returns:
        FoldClips: In the order of the clips.

    Raises:
        ValueError: If folds or a class are missing.
    """
    folder = clips.folder
    folds = folder.info.get('folds')
    if not folds:
        raise ValueError(
            f'{folder.root / INFO_FILE} has no folds, source recording to '
            'number; convert ESC-10 or ESC-50 by '
            'tools/dataset_converters/esc10.py, or add them.')
    labels, recordings, numbers = [], [], []
    for index in range(len(clips)):
        info = clips.get_data_info(index)
        if not info['class'] or info['source_recording'] not in folds:
            raise ValueError(f'{info["name"]} has no class or no fold; add '
                             'it, or remove its row from the index.')
        labels.append(folder.classes.index(info['class'][0]))
        recordings.append(info['recording'])
        numbers.append(int(folds[info['source_recording']]))
    return FoldClips(
        np.array(labels), np.array(recordings), np.array(numbers))


def _build_clips(cfg: Config, data_root: str) -> BinauralClips:
    """All clips of the folder, cut as the config's training data are."""
    trained = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    settings = {
        name: trained[name]
        for name in ('clip_seconds', 'sample_rate') if name in trained
    }
    return BinauralClips(
        data_root, split='', views=(_VIEW, ), test_mode=True, **settings)


def _backbone_of(cfg: Config) -> dict:
    """The backbone of a config, without the checkpoint that it may name."""
    if not cfg.get('model') or not cfg.model.get('backbone'):
        raise ValueError(f'{cfg.filename} has no model.backbone to evaluate; '
                         'give a config of configs/binaural.')
    backbone = cfg.model.backbone.to_dict()
    # The weights come from CHECKPOINT; other kinds of initialisation stay.
    init = backbone.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        backbone.pop('init_cfg')
    return backbone


def _spectrograms_of(cfg: Config) -> dict:
    """The preprocessing of a config, for the one view."""
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if not str((found or {}).get('type')).endswith('BinauralDataPreprocessor'):
        raise ValueError(
            f'{cfg.filename} has no BinauralDataPreprocessor, which makes '
            'the spectrograms; give a config of configs/binaural.')
    return dict(found.to_dict(), only=_VIEW, keep_waveforms=False)


def main(arguments: Optional[Sequence[str]] = None) -> dict:
    """Evaluate.

    Args:
        arguments (Sequence[str], optional): None takes the command line's.

    Returns:
        dict: What the json holds.
    """
    args = parse_args(arguments)
    cfg = read_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    # mmengine reports the initialisation of every single parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    clips = _build_clips(cfg, args.data_root)
    known = read_fold_clips(clips)
    classes = clips.folder.classes
    backbone = _backbone_of(cfg)
    encoder = FrozenEncoder(MODELS.build(backbone), _spectrograms_of(cfg))
    checkpoint = fill_backbone(encoder.backbone, args.checkpoint, args.prefix,
                               args.seed)
    device = torch.device(args.device or get_device())
    choices = {
        'config': args.config,
        'checkpoint': checkpoint,
        'backbone': in_words(backbone),
        'data': f'{args.data_root}: {len(clips)} clips of '
                f'{len(np.unique(known.recordings))} recordings, '
                f'{len(classes)} classes, {len(known.fold_numbers)} folds',
        'features': 'last output, ' + {
            'avg': 'mean over frequency and time',
            '2x2': 'four windows of frequency and time'
        }[args.pool] + '; standardised by the clips of the training folds',
        'classifier': 'one linear SVM per class: squared hinge, L2',
        'costs': ', '.join(f'{cost:g}' for cost in args.costs) +
                 '; chosen by accuracy over the training folds'
                 * (len(args.costs) > 1),
        'recordings': 'mean decision value of the clips',
        'device': str(device),
    }
    print(format_choices(choices, 'Sound events'), flush=True)
    loader = Runner.build_dataloader(
        dict(
            batch_size=args.batch_size,
            num_workers=args.num_workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
            dataset=_Numbered(clips)))
    features = extract_features(
        encoder.to(device), loader, args.pool,
        Progress('Features', len(clips)))
    rounds = len(known.fold_numbers) * (
        1 + len(args.costs) * (len(args.costs) > 1))
    result = evaluate_folds(
        features,
        known,
        classes,
        args.costs,
        progress=Progress('SVM', rounds))
    _, first = np.unique(known.recordings, return_index=True)
    chance = 100 * np.bincount(known.labels[first]).max() / len(first)
    print(_table(result, chance), flush=True)
    content = dict(
        result,
        most_frequent_class=float(chance),
        classes=list(classes),
        choices=choices,
        seed=args.seed,
        versions=versions())
    out = args.out or osp.join(
        args.work_dir or osp.join('work_dirs',
                                  Path(args.config).stem),
        'binaural_svm.json')
    write_json(out, content)
    print(f'Written to {out}')
    return content


def _table(result: dict, chance: float) -> str:
    lines = ['fold   recordings   cost   accuracy']
    lines += [
        f'{each["fold"]:>4} {each["recordings"]:>12} {each["cost"]:>6g} '
        f'{each["accuracy"]:>8.2f} %' for each in result['folds']
    ]
    lines.append(f'mean {result["accuracy"]:.2f} %, standard deviation over '
                 f'folds {result["std"]:.2f}; the most frequent class has '
                 f'{chance:.2f} % of the recordings')
    return '\n'.join(lines)
