# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the command-line tools share: flags, and the config they make of it."""
import argparse
import inspect
import os
import os.path as osp
from difflib import get_close_matches
from typing import Any, Iterator, Optional, Sequence, Tuple

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.hub import get_config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmmultissl.engine.safe_schemes import install_safe_loading
from mmmultissl.utils.config_checks import check_duplicate_keys

# Top-level keys that somebody reads after the config file has been read:
# the runner's arguments, and what runners, hooks and tools take from `cfg`.
_READ_FROM_CONFIG = frozenset(inspect.signature(Runner).parameters) | {
    'auto_scale_lr', 'checkpoint', 'custom_imports', 'find_unused_parameters',
    'model_wrapper_cfg', 'runner_type', 'strict_load', 'sync_bn', 'tta_model',
    'tta_pipeline', 'compile', 'start_from', 'stages', 'stage_order',
    'total_updates'
}


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing share, with mmpretrain's names.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
    """
    parser.add_argument(
        '--work-dir',
        help='the folder for logs and checkpoints; '
        'work_dirs/<config name> unless given here or in the config')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpacedDictAction,
        help='settings of the config to override, as key=value; for a list '
        'write key="[a,b]" or key=a,b, nested as key="[(a,b),(c,d)]", with '
        'the quotation marks and without spaces')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes; dist_train.sh sets it')
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='load data into ordinary memory')
    # torchrun passes no rank, older launchers pass either spelling.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def parse(parser: argparse.ArgumentParser,
          arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the arguments and make the local rank known.

    Args:
        parser (argparse.ArgumentParser): The tool's parser.
        arguments (Sequence[str], optional): Defaults to None: the command
            line's.

    Returns:
        argparse.Namespace: The arguments.
    """
    args = parser.parse_args(arguments)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def read_config(path: str) -> Config:
    """Read a config by path, or from an installed package.

    Args:
        path (str): A path, or ``mmmultissl::multissl/....py``.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a dict in it names a key twice, or it leaves out a task
            that it does not inherit.
    """
    if '::' in path:
        try:
            return get_config(path)
        except (AssertionError, FileNotFoundError, ValueError) as error:
            raise FileNotFoundError(
                f'No installed package has the config {path}: write it as '
                'mmmultissl::FOLDER/NAME.py, with a folder of configs/ such '
                'as multissl.') from error
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'There is no config {path}: name a file of configs/, or one '
            'inside the package as mmmultissl::multissl/NAME.py.')
    check_duplicate_keys(path)
    cfg = Config.fromfile(path)
    _check_tasks_left_out_in_file(path, cfg)
    return cfg


def apply_common_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Write the shared flags into the config; ``--cfg-options`` come last.

    Args:
        cfg (Config): The config, changed in place.
        args (argparse.Namespace): The arguments.
    """
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config.split('::')[-1]))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    if args.cfg_options is not None:
        check_left_out_tasks(cfg, args.cfg_options)
        check_variables(cfg, args.cfg_options)
        cfg.merge_from_dict(args.cfg_options)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            _set_loader_defaults(cfg, loader, args)


def _tasks_of(cfg: Config) -> dict:
    return (cfg.get('model') or {}).get('tasks') or {}


def _check_tasks_left_out_in_file(path: str, cfg: Config) -> None:
    """Refuse ``name=None`` for a task that no parent of the file has."""
    tasks = _tasks_of(cfg)
    left_out = [name for name, task in tasks.items() if task is None]
    with open(path, encoding='utf-8') as file:
        # `with read_base()` is another kind of config, without _base_.
        if not left_out or 'read_base' in file.read():
            return
    inherited = {}
    bases = Config._get_base_files(path)
    if not bases:  # a config that was written whole, such as a run's own
        return
    for base in bases:
        base, _ = Config._get_cfg_path(base, path)
        inherited.update(_tasks_of(Config.fromfile(base)))
    for name in left_out:
        if name not in inherited:
            have = [key for key, task in inherited.items() if task is not None]
            raise ValueError(
                f'{path} leaves out the task "{name}" by None, but what it '
                f'inherits has {", ".join(have) or "no tasks"}: correct the '
                'name.')


def check_left_out_tasks(cfg: Config, options: dict) -> None:
    """Refuse to leave out a task that is not there.

    Args:
        cfg (Config): The config, without the options.
        options (dict[str, Any]): Settings to override, dotted keys or dicts.

    Raises:
        ValueError: If there is no such task.
    """
    tasks = _tasks_of(cfg)
    for key, value in _dotted(options):
        name = key[len('model.tasks.'):]
        if (key.startswith('model.tasks.') and '.' not in name
                and value is None and name not in tasks):
            raise ValueError(
                f'{key}=None leaves out a task that the config does not '
                f'have: its tasks are {", ".join(tasks)}.')


def _dotted(options: dict, prefix: str = '') -> Iterator[Tuple[str, Any]]:
    """Write nested settings by dotted keys."""
    for key, value in options.items():
        if isinstance(value, dict):
            yield from _dotted(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value


def check_variables(cfg: Config, options: dict) -> None:
    """Refuse what nobody reads: mistyped keys, and variables used up.

    Args:
        cfg (Config): The config, without the options.
        options (dict[str, Any]): Settings to override, dotted keys.

    Raises:
        ValueError: If a key's first part is neither one of mmengine's runner
            nor one of this package's tools.
    """
    for key in options:
        name = key.split('.')[0]
        if name in _READ_FROM_CONFIG:
            continue
        if name not in cfg:
            similar = get_close_matches(name, _READ_FROM_CONFIG, 1)
            hint = f'did you mean {similar[0]}? ' if similar else ''
            raise ValueError(
                f'Nobody reads {key}: {hint}Top-level keys are those of '
                "mmengine's Runner, such as model or train_dataloader; write "
                'a config that inherits this one to add others.')
        raise ValueError(
            f'{key} has no effect: {name} is a variable of the config file, '
            'which was used when the file was read; set what it was put into, '
            'such as train_dataloader.dataset.data_root, or write a config '
            'that inherits this one.' +
            (' The network of all configs is the environment variable '
             'BACKBONE.' if name.endswith('backbone') else ''))


class SpacedDictAction(DictAction):
    """mmengine's ``key=value`` options, with blanks kept in single values.

    mmengine removes every blank, also from paths. In lists it still does.
    """

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        if any(mark in val for mark in '[](),'):
            return DictAction._parse_iterable(val)
        return DictAction._parse_int_float_bool(val.strip('\'" '))


def _set_loader_defaults(cfg: Config, loader: dict,
                         args: argparse.Namespace) -> None:
    if cfg.get('default_scope') == 'mmpretrain':
        # mmpretrain's own tools give this to configs that leave it out; mmdet
        # wants mmengine's default.
        loader.setdefault('collate_fn', dict(type='default_collate'))
    # Page-locked memory is for copies to a GPU, and torch warns without one.
    loader.setdefault('pin_memory', torch.cuda.is_available())
    if args.no_pin_memory:
        loader['pin_memory'] = False
    # torch refuses workers that persist where there are none.
    if getattr(args, 'no_persistent_workers',
               False) or not loader.get('num_workers'):
        loader['persistent_workers'] = False


def use_mixed_precision(cfg: Config) -> None:
    """Switch the config to the mixed precision that the device has.

    bfloat16 where it is computed natively and on the CPU; elsewhere, and for
    detection, whose operators lack it, float16 with mmengine's dynamic loss
    scale. A config that names an optimiser wrapper of its own keeps it.

    Args:
        cfg (Config): The config, changed in place.

    Raises:
        ValueError: If a detector is to be trained on the CPU.
    """
    if cfg.optim_wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        return  # the config has chosen its own
    cuda = torch.cuda.is_available()
    detection = cfg.get('default_scope') == 'mmdet'
    if detection and not cuda:
        raise ValueError(
            "mmcv's operators on regions know no mixed precision on the CPU: "
            'leave --amp out for detection, or run it on a GPU.')
    if cuda and (detection or not torch.cuda.is_bf16_supported(
            including_emulation=False)):
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.optim_wrapper.type = 'mmmultissl.Bf16OptimWrapper'


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config asks for.

    Args:
        cfg (Config): The config.

    Returns:
        Runner: The runner; ``StrictRunner`` where the config names none.

    Raises:
        OSError: If the work dir cannot be made.
    """
    # For runners of others; ours does it again, which is harmless.
    install_safe_loading()
    try:
        os.makedirs(cfg.work_dir, exist_ok=True)
    except OSError as error:
        raise OSError(f'The work dir {cfg.work_dir} cannot be made '
                      f'({error.strerror}): give another one by --work-dir.'
                      ) from error
    cfg.setdefault('runner_type', 'mmmultissl.StrictRunner')
    return RUNNERS.build(cfg)


def leave_processes() -> None:
    """Leave a distributed run, all processes together.

    A thread of gloo that still holds a tensor of Python's while the
    interpreter ends aborts the process, and a run of which everything is done
    and saved would end as a failure. Its ordinary barrier runs in such a
    thread; the monitored one runs in the caller's.
    """
    if dist.is_available() and dist.is_initialized():
        if dist.get_backend() == 'gloo':
            dist.monitored_barrier()
        else:
            dist.barrier()
        dist.destroy_process_group()
