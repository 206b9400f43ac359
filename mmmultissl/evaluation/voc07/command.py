# Copyright (c) mmmultissl contributors. All rights reserved.
"""The VOC07 evaluation of a checkpoint, with the backbone of any config."""
import argparse
import os.path as osp
from pathlib import Path
from typing import Dict, Optional, Sequence

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmmultissl.engine.backbone_weights import fill_backbone
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import SpacedDictAction, read_config

from ..svm.features import POOLS
from ..svm.report import in_words
from .protocol import PRESETS, PROBES, make_protocol, use_preset
from .suite import evaluate_voc07

_LOOPS = ('VOC07Loop', 'VOC07SVMLoop')
_BASE = 'mmmultissl::_base_/datasets/voc07.py'
_CHOICES = ('svm', 'low_shot', 'linear', 'knn')


def _stage(word: str):
    return word if word == 'all' else int(word)


def parse_args(arguments: Optional[Sequence[str]], probes: Sequence[str],
               out: str) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): None takes the command line's.
        probes (Sequence[str]): The command's default probes.
        out (str): The command's default name of the json.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='VOC07 evaluation of a checkpoint: features of a frozen '
        'backbone, judged by simple classifiers')
    parser.add_argument('config', help='pretraining or configs/voc07 config')
    parser.add_argument(
        'checkpoint', help='file, "random" for a random backbone, or '
        '"columns" for one of several with files of their own')
    parser.add_argument(
        '--data-root', help='folder of one year, such as VOCdevkit/VOC2007')
    parser.add_argument(
        '--probes', nargs='+', choices=PROBES,
        help=f'what to evaluate [{" ".join(probes)}, or the voc07 config\'s]')
    parser.add_argument(
        '--preset', choices=sorted(PRESETS), help='whose choices: resizing '
        'and costs [mmselfsup, or the voc07 config\'s]')
    parser.add_argument(
        '--size', type=int, help='sides of the images in pixels [224, or the '
        'voc07 config\'s]')
    parser.add_argument(
        '--pool', choices=sorted(POOLS), help='avg: global mean; grid: the '
        'presets\' windows, by stage; 2x2: four windows [grid at 224 px, '
        'else avg, or the voc07 config\'s]')
    parser.add_argument(
        '--stages', nargs='+', type=_stage, help='stages of the backbone, '
        'counted as its out_indices are, or all [its last output]')
    parser.add_argument(
        '--prefix', help='where the checkpoint holds the backbone '
        '[backbone.]')
    parser.add_argument(
        '--solver', choices=['batched', 'sklearn'], help='[batched]')
    parser.add_argument(
        '--costs', type=float, nargs='+', help='costs of the SVMs [the '
        'preset\'s]')
    parser.add_argument(
        '--difficult-train', choices=['negative', 'ignore'],
        help='difficult images in training, of svm, linear and knn [negative, '
        'as mmselfsup and VISSL]')
    parser.add_argument(
        '--tol', type=float, help='tolerance of the solver [1e-6; sklearn '
        '1e-4]')
    parser.add_argument(
        '--shots', type=int, nargs='+', help='low-shot: positive images per '
        'class [1 2 4 8 16 32 64 96]')
    parser.add_argument(
        '--samples', type=int, help='low-shot: draws of each [5]')
    parser.add_argument(
        '--neighbours', type=int, nargs='+', help='knn: numbers of '
        'neighbours, the first is the figure [20 200]')
    parser.add_argument('--batch-size', type=int, help='[32]')
    parser.add_argument('--num-workers', type=int, help='[4]')
    parser.add_argument(
        '--seed', type=int, default=0, help='of a random backbone [0]')
    parser.add_argument('--device', help='such as cpu or cuda:0 [the best]')
    parser.add_argument('--work-dir', help='[./work_dirs/<config>]')
    parser.add_argument('--out', help=f'json [<work dir>/{out}]')
    parser.add_argument(
        '--save-features', metavar='NPY', help='keep the features of the '
        'stage')
    parser.add_argument(
        '--features', metavar='NPY', help='use kept features; config and '
        'checkpoint are then only named')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpacedDictAction,
        help='override settings of the config, xxx=yyy')
    return parser.parse_args(arguments)


def _pixel_statistics(cfg: Config) -> dict:
    """Take mean, std and channel order from a config's preprocessor."""
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    if not found or found.get('mean') is None or found.get('std') is None:
        raise ValueError(
            f'{cfg.filename} has no data_preprocessor with mean and std, so '
            'the images cannot be normalised as in training; add '
            '--cfg-options data_preprocessor.mean=[...] '
            'data_preprocessor.std=[...].')
    to_rgb = found.get('to_rgb', found.get('bgr_to_rgb', False))
    return dict(
        type='mmpretrain.ClsDataPreprocessor',
        mean=found.mean,
        std=found.std,
        to_rgb=to_rgb)


def evaluation_config(cfg: Config, size: Optional[int] = None) -> Config:
    """Make a VOC07 config of a pretraining config; others pass.

    Args:
        cfg (Config): A pretraining or VOC07 config.
        size (int, optional): Sides of the images. Defaults to None: 224, or
            what the VOC07 config has.

    Returns:
        Config: With ``model``, ``test_dataloader`` and ``test_cfg``.

    Raises:
        ValueError: If there is no backbone, or no pixel statistics.
    """
    test_cfg = cfg.get('test_cfg') or {}
    ours = str(test_cfg.get('type', '')).endswith(_LOOPS)
    if not cfg.get('model') or not cfg.model.get('backbone'):
        raise ValueError(f'{cfg.filename} has no model.backbone to evaluate; '
                         'give a pretraining config or one of configs/voc07.')
    base = cfg if ours else read_config(_BASE)
    backbone = cfg.model.backbone.to_dict()
    # The weights come from CHECKPOINT; other kinds of initialisation stay.
    init = backbone.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        backbone.pop('init_cfg')
    test_cfg = base.test_cfg.to_dict()
    if not ours:
        test_cfg['pool'] = 'grid' if size in (None, 224) else 'avg'
    made = dict(
        default_scope=cfg.get('default_scope') or 'mmpretrain',
        model=dict(
            type='mmpretrain.ImageClassifier',
            backbone=backbone,
            data_preprocessor=_pixel_statistics(cfg)),
        test_dataloader=base.test_dataloader.to_dict(),
        test_cfg=test_cfg)
    if size is not None:
        made['test_dataloader']['dataset']['image_size'] = size
    return Config(made, filename=cfg.filename)


def _protocol_options(test_cfg: dict, args: argparse.Namespace,
                      probes: Sequence[str]) -> dict:
    """Merge the choices of the config with those of the command line."""
    options = {
        name: test_cfg[name]
        for name in ('preset', 'pool', 'stages') if name in test_cfg
    }
    svm_only = str(test_cfg.get('type', '')).endswith('VOC07SVMLoop')
    options['probes'] = test_cfg.get('probes',
                                     ('svm', ) if svm_only else probes)
    choices = {name: dict(test_cfg.get(name) or {}) for name in _CHOICES}
    choices['svm'] = dict(test_cfg.get('protocol') or {}, **choices['svm'])
    for name, value in (('preset', args.preset), ('probes', args.probes),
                        ('pool', args.pool), ('stages', args.stages)):
        if value is not None:
            options[name] = value
    if args.stages is not None and 'all' in args.stages:
        options['stages'] = 'all'
    for names, key, value in (
        (('svm', ), 'costs', args.costs),
        (('svm', 'linear'), 'solver', args.solver),
        (('svm', 'linear'), 'tol', args.tol),
        (('svm', 'linear', 'knn'), 'difficult_train', args.difficult_train),
        (('low_shot', ), 'shots', args.shots),
        (('low_shot', ), 'samples', args.samples),
        (('knn', ), 'neighbours', args.neighbours),
    ):
        for name in names if value is not None else ():
            choices[name][key] = value
    return dict(options, **choices)


def main(arguments: Optional[Sequence[str]] = None,
         probes: Sequence[str] = PROBES,
         out: str = 'voc07.json') -> dict:
    """Evaluate.

    Args:
        arguments (Sequence[str], optional): None takes the command line's.
        probes (Sequence[str]): What is evaluated where neither the command
            line nor a VOC07 config says. Defaults to all.
        out (str): Name of the json. Defaults to ``'voc07.json'``.

    Returns:
        dict: What the json holds.
    """
    args = parse_args(arguments, probes, out)
    cfg = read_config(args.config)
    if args.cfg_options is not None:
        cfg.merge_from_dict(args.cfg_options)
    work_dir = args.work_dir or osp.join('work_dirs', Path(args.config).stem)
    cfg = evaluation_config(cfg, args.size)
    loader, test_cfg = cfg.test_dataloader, cfg.test_cfg
    for place, name, value in (
        (loader.dataset, 'data_root', args.data_root),
        (loader, 'batch_size', args.batch_size),
        (loader, 'num_workers', args.num_workers),
        (test_cfg, 'prefix', args.prefix),
    ):
        if value is not None:
            place[name] = value
    protocol = make_protocol(**_protocol_options(test_cfg, args, probes))
    use_preset(loader.dataset, protocol.preset)

    init_default_scope(cfg.default_scope)
    # mmengine reports the initialisation of every single parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    dataloader = Runner.build_dataloader(loader)
    device = torch.device(args.device or get_device())
    model, features = None, None
    about = dict(config=args.config)
    if args.features is not None:
        # Arrays only: nothing in the file is executed.
        features = torch.from_numpy(np.load(args.features, allow_pickle=False))
        about['features'] = (f'from {args.features}, not computed; named as '
                             f'those of {args.checkpoint}')
    else:
        model = MODELS.build(ConfigDict(cfg.model))
        about['backbone'] = in_words(cfg.model.backbone)
        about['checkpoint'] = fill_backbone(
            model.backbone, args.checkpoint,
            test_cfg.get('prefix', 'backbone.'), args.seed)
        model.to(device)
    about['device'] = (f'{device}, {torch.get_num_threads()} threads'
                       if device.type == 'cpu' else
                       f'{device}, {torch.cuda.get_device_name(device)}')

    def keep(found: Dict[str, torch.Tensor]) -> None:
        if args.save_features is None:
            return
        if len(found) > 1:
            raise ValueError('--save-features keeps one stage, but '
                             f'{", ".join(found)} were computed: name one '
                             'with --stages.')
        Path(args.save_features).parent.mkdir(parents=True, exist_ok=True)
        np.save(args.save_features, *(x.numpy() for x in found.values()))

    return evaluate_voc07(
        model,
        dataloader,
        protocol,
        device=device,
        about=about,
        out=args.out or osp.join(work_dir, out),
        features=features,
        keep=keep)
