#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""VOC07 SVM of a checkpoint, with the backbone of any config.

    python tools/voc07_svm.py CONFIG CHECKPOINT --data-root VOCdevkit/VOC2007

CONFIG is a pretraining config, whose backbone and pixel statistics are taken,
or one of configs/voc07. CHECKPOINT may be the word ``random`` for a randomly
initialised backbone, the control.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import os.path as osp
from pathlib import Path

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmmultissl.engine.backbone_weights import fill_backbone
from mmmultissl.evaluation.svm import SVMProtocol, evaluate_voc07
from mmmultissl.evaluation.svm.features import POOLS
from mmmultissl.evaluation.svm.report import in_words
from mmmultissl.registry import MODELS
from mmmultissl.utils.command_line import SpacedDictAction, read_config

_CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
_LOOP = 'VOC07SVMLoop'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='VOC07 SVM of a checkpoint, in mmselfsup\'s protocol')
    parser.add_argument('config', help='pretraining or configs/voc07 config')
    parser.add_argument(
        'checkpoint', help='file, or "random" for a random backbone')
    parser.add_argument(
        '--data-root', help='folder of one year, such as VOCdevkit/VOC2007')
    parser.add_argument(
        '--size', type=int, help='sides of the images in pixels [224, or the '
        'voc07 config\'s]')
    parser.add_argument(
        '--pool', choices=sorted(POOLS), help='avg: global mean; 2x2: '
        'mmselfsup\'s four windows [2x2 at 224 px, else avg, or the voc07 '
        'config\'s]')
    parser.add_argument(
        '--stage', type=int, help='take this stage of the backbone, counted '
        'as its out_indices are [the last output]')
    parser.add_argument(
        '--prefix', help='where the checkpoint holds the backbone '
        '[backbone.]')
    parser.add_argument(
        '--solver', choices=['batched', 'sklearn'], help='[batched]')
    parser.add_argument(
        '--costs', type=float, nargs='+', help='costs to choose from '
        '[1 10 100 and 0.5^4 to 0.5^19]')
    parser.add_argument(
        '--difficult-train', choices=['negative', 'ignore'],
        help='difficult images in training [negative, as mmselfsup]')
    parser.add_argument(
        '--tol', type=float, help='tolerance of the solver [1e-6; sklearn '
        '1e-4]')
    parser.add_argument('--batch-size', type=int, help='[32]')
    parser.add_argument('--num-workers', type=int, help='[4]')
    parser.add_argument(
        '--seed', type=int, default=0, help='of a random backbone [0]')
    parser.add_argument('--device', help='such as cpu or cuda:0 [the best]')
    parser.add_argument('--work-dir', help='[./work_dirs/<config>]')
    parser.add_argument('--out', help='json [<work dir>/voc07_svm.json]')
    parser.add_argument(
        '--save-features', metavar='NPY', help='keep the features')
    parser.add_argument(
        '--features', metavar='NPY', help='use kept features; config and '
        'checkpoint are then only named')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpacedDictAction,
        help='override settings of the config, xxx=yyy')
    return parser.parse_args()


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


def evaluation_config(cfg: Config, size: int = None) -> Config:
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
    ours = str(test_cfg.get('type', '')).endswith(_LOOP)
    if not cfg.get('model') or not cfg.model.get('backbone'):
        raise ValueError(f'{cfg.filename} has no model.backbone to evaluate; '
                         'give a pretraining config or one of configs/voc07.')
    base = cfg if ours else Config.fromfile(
        _CONFIGS / '_base_/datasets/voc07_svm.py')
    backbone = cfg.model.backbone.to_dict()
    # The weights come from CHECKPOINT; other kinds of initialisation stay.
    init = backbone.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        backbone.pop('init_cfg')
    test_cfg = dict(base.test_cfg)
    if not ours:
        test_cfg['pool'] = '2x2' if size in (None, 224) else 'avg'
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


def main() -> None:
    args = parse_args()
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
        (test_cfg, 'pool', args.pool),
        (test_cfg, 'prefix', args.prefix),
    ):
        if value is not None:
            place[name] = value
    if args.stage is not None:
        cfg.model.backbone.out_indices = (args.stage, )
    choices = dict(test_cfg.get('protocol') or {})
    # Inheritance by `mmmultissl::` marks every dict with its scope.
    choices.pop('_scope_', None)
    choices.update({
        name: value
        for name, value in (('costs', args.costs), ('solver', args.solver),
                            ('difficult_train', args.difficult_train),
                            ('tol', args.tol)) if value is not None
    })
    protocol = SVMProtocol(**choices)

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

    def keep(found: torch.Tensor) -> None:
        if args.save_features is not None:
            Path(args.save_features).parent.mkdir(parents=True, exist_ok=True)
            np.save(args.save_features, found.numpy())

    evaluate_voc07(
        model,
        dataloader,
        protocol,
        test_cfg.get('pool', 'avg'),
        test_cfg.get('index', -1),
        device=device,
        about=about,
        out=args.out or osp.join(work_dir, 'voc07_svm.json'),
        features=features,
        keep=keep)


if __name__ == '__main__':
    main()
