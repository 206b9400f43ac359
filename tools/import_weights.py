# Copyright (c) mmmultissl contributors. All rights reserved.
"""Turn published weights of another project into a checkpoint of ours.

    python tools/import_weights.py moco_v2_800ep_pretrain.pth.tar moco.pth

docs/weights.md lists the projects.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
from typing import Optional, Sequence

from mmengine.logging import MMLogger

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.utils.command_line import SpacedDictAction, read_config
from mmmultissl.weights import (LAYOUTS, check_paths, import_weights, in_words,
                                write_weights)


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(
        description='Convert published weights of a ResNet.')
    parser.add_argument('source', metavar='IN', help='.pth, .tar or .safet'
                        'ensors file of another project')
    parser.add_argument('target', metavar='OUT', help='.pth file to write')
    parser.add_argument(
        '--layout', choices=sorted(LAYOUTS), help='[recognised by the keys]')
    parser.add_argument(
        '--config', help='the config whose model.backbone is to be filled '
        '[the mmpretrain.ResNet that the shapes tell]')
    parser.add_argument(
        '--with-tasks', action='store_true', help='fill the whole model of '
        '--config, with projection, EMA copies and queues of MoCo or DenseCL, '
        'to go on pretraining')
    parser.add_argument(
        '--cfg-options', nargs='+', action=SpacedDictAction,
        help='override settings of the config, xxx=yyy')
    return parser.parse_args(arguments)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Convert one file.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    check_paths(args.source, args.target)
    if args.target.endswith('.safetensors'):
        raise ValueError('OpenMMLab reads no safetensors: give OUT a name '
                         'that ends in .pth.')
    cfg = None
    if args.config is not None:
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
    # mmpretrain and MultiSSL report how they are put together.
    MMLogger.get_current_instance().setLevel('WARNING')
    imported = import_weights(args.source, args.layout, cfg, args.with_tasks)
    write_weights(imported.weights, imported.meta, args.target)
    print(in_words(imported))
    print(f'written: {args.target}; use it as ' +
          ('load_from of that config' if args.with_tasks else
           'a checkpoint of any tool here, by the prefix backbone.'))


if __name__ == '__main__':
    main()
