# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pretrain, train an evaluation or fine-tune a detector: one config, one run.

    python tools/train.py configs/multissl_densecl_r50.py --work-dir DIR

A config with ``stages`` is run stage by stage, see docs/incremental.md.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from torch.distributed.elastic.multiprocessing.errors import record

from mmmultissl.engine.checkpoint import find_latest_complete
from mmmultissl.engine.stages import StageProcesses, enter_group, run_stages
from mmmultissl.utils.command_line import (add_common_arguments,
                                           apply_common_arguments,
                                           build_runner, leave_processes,
                                           parse, read_config,
                                           use_mixed_precision)


def parse_args(
        arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    parser = argparse.ArgumentParser(description='Train by a config.')
    parser.add_argument('config', help='a path, or mmmultissl::FOLDER/NAME.py')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or without a path from the '
        'newest complete one in the work dir, if there is one; stages always '
        'go on')
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual total batch size')
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='let worker processes end with each pass of a data loader')
    parser.add_argument(
        '--finished-stages',
        metavar='DIR',
        help='of a config with stages: a stage that a run below this folder '
        'has trained with the very same inputs is copied from there')
    add_common_arguments(parser)
    return parse(parser, arguments)


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Train.

    Args:
        arguments (Sequence[str], optional): Defaults to the command line's.
    """
    args = parse_args(arguments)
    cfg = read_config(args.config)
    if cfg.get('train_cfg') is None:
        raise ValueError(f'{args.config} has no train_cfg, so there is '
                         'nothing to train: evaluate it with tools/test.py.')
    staged = bool(cfg.get('stages'))
    if args.amp and not staged:
        use_mixed_precision(cfg)
    if args.auto_scale_lr:
        if cfg.get('auto_scale_lr') is None:
            raise ValueError(
                f'{args.config} has no auto_scale_lr.base_batch_size: set the '
                'total batch size that its learning rate was made for.')
        cfg.auto_scale_lr.enable = True
    if staged and args.resume not in (None, 'auto'):
        raise ValueError(
            f'--resume {args.resume} names the checkpoint of one stage, but '
            f'{args.config} has several: leave the path out, the run goes on '
            'where it stopped.')
    if args.finished_stages is not None and not staged:
        raise ValueError(
            '--finished-stages is for a config with stages, and '
            f'{args.config} has none: leave it out.')
    if args.resume is not None and not staged:
        cfg.resume = True
        if args.resume != 'auto':
            cfg.load_from = args.resume
    apply_common_arguments(cfg, args)
    if args.resume == 'auto' and not staged and cfg.get('load_from'):
        # Until there is something to go on with, the run begins from it.
        if find_latest_complete(cfg.work_dir) is None:
            cfg.resume = False
        else:
            cfg.load_from = None
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if staged:
        # All other flags are in the stages' configs.
        options = ['--amp'] if args.amp else []
        tool = [sys.executable, str(Path(__file__).resolve())]
        enter_group(args.launcher)
        run_stages(cfg, StageProcesses(tool, options, args.launcher), options,
                   args.finished_stages)
        return
    runner = build_runner(cfg)
    try:
        runner.train()
    except KeyboardInterrupt:
        print(f'Interrupted; --resume --work-dir {runner.work_dir} goes on '
              'from the last checkpoint.')
        raise SystemExit(130) from None


if __name__ == '__main__':
    # With it torchrun's own report ends in the error's sentence.
    record(main)()
    leave_processes()
