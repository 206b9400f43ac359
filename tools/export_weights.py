# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write the backbone of a checkpoint as torchvision, timm or mmpretrain does.

    python tools/export_weights.py CONFIG CHECKPOINT OUT --format torchvision

A name that ends in .safetensors makes a file of that kind. Before anything is
written, the other project's network must give the same features.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import os.path as osp
from typing import Optional, Sequence

from mmengine.logging import MMLogger

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.engine.backbone_weights import sha256_of
from mmmultissl.engine.checkpoint import load_pretrained
from mmmultissl.utils.command_line import SpacedDictAction, read_config
from mmmultissl.version import __version__
from mmmultissl.weights import (FORMATS, build_part, check_paths,
                                export_backbone, write_weights)
from mmmultissl.weights.files import is_safetensors, require_safetensors


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='Export the backbone of a checkpoint.')
    parser.add_argument('config', help='the config it was trained with')
    parser.add_argument('checkpoint', help='file')
    parser.add_argument(
        'target', metavar='OUT', help='.pth or .safetensors file to write')
    parser.add_argument(
        '--format', choices=FORMATS, default='torchvision',
        help='whose names the keys get [torchvision]')
    parser.add_argument(
        '--prefix', default='backbone.', help='where the checkpoint holds the '
        'backbone [backbone.]')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpacedDictAction,
        help='override settings of the config, xxx=yyy')
    return parser.parse_args(arguments)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Export one backbone.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    check_paths(args.checkpoint, args.target)
    if is_safetensors(args.target):
        require_safetensors()
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options or {})
    MMLogger.get_current_instance().setLevel('WARNING')
    backbone = build_part(cfg, 'backbone')
    load_pretrained(backbone, args.checkpoint, args.prefix,
                    name='the backbone', where='--prefix', may_relax=False)
    weights, difference = export_backbone(backbone, args.format)
    about = dict(
        file=osp.basename(args.checkpoint),
        sha256=sha256_of(args.checkpoint),
        bytes=osp.getsize(args.checkpoint),
        format=args.format,
        backbone=cfg.model.backbone.to_dict(),
        feature_difference=difference)
    write_weights(weights, dict(mmmultissl_version=__version__,
                                exported=about), args.target)
    print(f'{about["file"]}: sha256 {about["sha256"]}')
    if args.format != 'mmpretrain':
        print(f'features of a random batch, {args.format} beside ours: '
              f'largest relative difference {difference:.1e} (float64)')
    print(f'written: {args.target}, {len(weights)} keys')


if __name__ == '__main__':
    main()
