# Copyright (c) mmmultissl contributors. All rights reserved.
"""From one config with stages to one ordinary config for each stage.

Nothing is read, written or built here, so that tools can look at the stages
of a config without running them.
"""
import copy
import os.path as osp
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from mmengine.config import Config

from mmmultissl.utils.seeding import hash_ints
from mmmultissl.utils.setting_kinds import is_count

from .spec import have, read_stage, share_updates, stage_order

#: The keys of a config that make it one of stages.
STAGE_KEYS = ('stages', 'stage_order', 'total_updates')

_LOOP = 'mmmultissl.PretrainLoop'
_EMA_TRUNK = 'momentum.ema0.backbone.'


@dataclass(frozen=True)
class Stage:
    """A stage of a run: an ordinary config, and where it stands.

    Attributes:
        name (str): Its name in ``stages``.
        number (int): Its place in the order, from 1.
        work_dir (str): Its folder.
        tasks (tuple[str]): The pretext tasks that it trains.
        updates (int): Optimiser updates; with 0 the stage is empty, and
            hands on the checkpoint of the stage before.
        iterations (int): Iterations of the loop: the updates times
            ``accumulative_counts``.
        cfg (Config): Its config. The checksums of other stages' checkpoints
            are None until :func:`pinned`.
        start (int | None): Number of the stage that it starts from.
        teachers (dict[str, int]): Distillation task -> number of the stage
            that is its teacher.
        columns (dict[str, int]): Frozen column of a progressive network ->
            number of the stage that trained it.
    """
    name: str
    number: int
    work_dir: str
    tasks: Tuple[str, ...]
    updates: int
    iterations: int
    cfg: Config
    start: Optional[int]
    teachers: Dict[str, int]
    columns: Dict[str, int]

    @property
    def checkpoint(self) -> str:
        """str: Where the stage is expected to leave its checkpoint."""
        return osp.join(self.work_dir, f'iter_{self.iterations}.pth')


def expand_stages(cfg: Config, work_dir: str) -> List[Stage]:
    """Make an ordinary config of each stage.

    Every stage trains with the settings of the config, its own ``overrides``
    merged into them, and the tasks that it does not name left out. The
    learning-rate schedule begins anew in each stage (our choice). Stage k > 1
    gets the seed hash(seed, k), so that it does not see the augmentations of
    stage 1 a second time (our choice).

    Args:
        cfg (Config): A config with ``stages``, ``stage_order`` and
            ``total_updates``; see docs/incremental.md.
        work_dir (str): The folder of the whole run.

    Returns:
        list[Stage]: The stages in their order.

    Raises:
        ValueError: If the stages contradict each other, the tasks or the
            budget.
    """
    order = stage_order(cfg)
    specs = {name: read_stage(name, cfg.stages[name]) for name in order}
    updates = share_updates(order, specs, cfg.get('total_updates'))
    stages: List[Stage] = []
    for number, (name, share) in enumerate(zip(order, updates), 1):
        stages.append(
            _expand(cfg, name, number, share, specs[name], stages,
                    osp.join(work_dir, f'{number}_{name}')))
    return stages


def pinned(stage: Stage, checkpoints: Mapping[int, Tuple[str, str]]) -> Config:
    """Fix what a stage takes from others by the files' checksums.

    Args:
        stage (Stage): The stage.
        checkpoints (dict[int, tuple[str, str]]): Number of a stage -> path
            and SHA-256 of its checkpoint.

    Returns:
        Config: The stage's config, complete.
    """
    cfg = copy.deepcopy(stage.cfg)
    places = [(cfg.model.tasks[task].teacher, number)
              for task, number in stage.teachers.items()]
    places += [(cfg.model.backbone.columns[column], number)
               for column, number in stage.columns.items()]
    if stage.start is not None:
        places.append((cfg.start_from, stage.start))
    for place, number in places:
        place.checkpoint, place.sha256 = checkpoints[number]
    return cfg


def _expand(cfg: Config, name: str, number: int, updates: int, spec: dict,
            before: List[Stage], work_dir: str) -> Stage:
    own = copy.deepcopy(cfg)
    for key in (*STAGE_KEYS, 'work_dir'):
        own.pop(key, None)
    own.resume = False
    _set_seed(own, number)
    if before:
        # What the config begins from, its first stage begins from.
        own.load_from = None
    _merge(own, name, spec['overrides'])
    iterations = _set_length(own, name, updates)
    _choose_tasks(own, name, spec['tasks'])
    start, teachers, columns = None, {}, {}
    if before and updates:
        source = _trained(before)
        if spec['columns']:
            columns = _add_columns(own, name, before)
        parts = _parts(name, spec, source)
        if parts:
            start = source.number
            own.start_from = dict(
                checkpoint=source.checkpoint, sha256=None, parts=parts)
        teachers = _add_teachers(own, name, spec, before)
    if updates and not own.model.tasks:
        raise ValueError(f'The stage {name} has no task: name one in '
                         f'stages.{name}.tasks.')
    return Stage(name, number, work_dir, spec['tasks'], updates, iterations,
                 own, start, teachers, columns)


def _set_seed(cfg: Config, number: int) -> None:
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not is_count(seed):
        raise ValueError(f'randomness.seed is {seed!r}: set it to a whole '
                         'number.')
    if seed is not None and number > 1:
        # 31 bits: NumPy's generators take no more than 32.
        cfg.randomness.seed = hash_ints(seed, number) >> 33


def _merge(cfg: Config, name: str, overrides: dict) -> None:
    # It imports what imports this.
    from mmmultissl.utils.command_line import (check_left_out_tasks,
                                               check_variables)
    try:
        check_left_out_tasks(cfg, overrides)
        check_variables(cfg, overrides)
    except ValueError as error:
        raise ValueError(f'stages.{name}.overrides: {error}') from error
    for key in ('train_cfg.max_iters', 'train_cfg.max_epochs'):
        loop, length = key.split('.')
        if key in overrides or length in (overrides.get(loop) or {}):
            raise ValueError(
                f'stages.{name}.overrides sets {key}: set '
                f'stages.{name}.updates in place of it, which counts towards '
                'total_updates.')
    for key in overrides:
        if key.split('.')[0] in STAGE_KEYS:
            raise ValueError(
                f'stages.{name}.overrides sets {key}, which is of the whole '
                'run: set it beside stages.')
    cfg.merge_from_dict(copy.deepcopy(dict(overrides)))


def _set_length(cfg: Config, name: str, updates: int) -> int:
    loop = cfg.get('train_cfg') or {}
    if loop.get('type') != _LOOP:
        raise ValueError(
            f'The stage {name} trains by train_cfg.type={loop.get("type")}: '
            f'stages are resumed exactly, which needs type={_LOOP!r}.')
    counts = cfg.optim_wrapper.get('accumulative_counts', 1)
    loop.max_iters, loop.max_epochs = updates * counts, None
    return updates * counts


def _choose_tasks(cfg: Config, name: str, tasks: Tuple[str, ...]) -> None:
    """Leave out the tasks that the stage does not name."""
    known = cfg.model.get('tasks')
    if not known:
        raise ValueError(
            f'The stage {name} trains a model without tasks: stages are those '
            'of mmmultissl.MultiSSL, with model.tasks.')
    there = [task for task, value in known.items() if value is not None]
    for task in tasks:
        if task not in there:
            raise ValueError(f'The stage {name} trains the task {task}, but '
                             f'of the tasks in model.tasks {have(there)}.')
    left_out = [task for task in there if task not in tasks]
    # Removed rather than None, which a config without parents may not say.
    for task in known.keys() - set(tasks):
        del known[task]
    weights = (cfg.model.get('balancer') or {}).get('weights')
    for task in left_out:
        # A balancer refuses weights of tasks that are not there.
        if isinstance(weights, dict):
            weights.pop(task, None)


def _trained(before: List[Stage]) -> Stage:
    """The last stage that was trained: an empty one hands it on."""
    return [stage for stage in before if stage.updates][-1]


def _parts(name: str, spec: dict, source: Stage) -> List[str]:
    """The prefixes of the state dict that a stage takes over."""
    start = spec['start']
    parts = ['backbone.'] if start['trunk'] else []
    for task in start['tasks']:
        if task not in source.tasks or task not in spec['tasks']:
            raise ValueError(
                f'stages.{name}.start.tasks names {task}, which must be a '
                f'task of the stage {name} and of {source.name}, from which '
                'it starts: add it to their tasks, or leave it out here.')
        parts.append(f'tasks.{task}.')
    parts += [f'companions.{each}.' for each in start['companions']]
    if start['momentum']:
        parts.append(_EMA_TRUNK)
        parts += [f'momentum.ema0.tasks.{task}.' for task in start['tasks']]
    return parts


def _add_columns(cfg: Config, name: str,
                 before: List[Stage]) -> Dict[str, int]:
    """Make the encoders of the stages before frozen columns of this one."""
    # The models' imports are long.
    from mmmultissl.models import progressive_overrides
    trained = [stage for stage in before if stage.updates]
    # The first stage has the plain backbone.
    plain = trained[0].cfg.model.backbone.to_dict()
    cfg.merge_from_dict(
        progressive_overrides(
            {stage.name: stage.checkpoint for stage in trained}, plain, name))
    return {stage.name: stage.number for stage in trained}


def _add_teachers(cfg: Config, name: str, spec: dict,
                  before: List[Stage]) -> Dict[str, int]:
    if spec['distill'] is None:
        return {}
    ema = spec['teacher'] == 'last_ema'
    if spec['teacher'] == 'all':
        chosen = {f'remember_{stage.name}': stage for stage in before
                  if stage.updates}
    else:
        chosen = {'remember': _trained(before)}
    for task, stage in chosen.items():
        if cfg.model.tasks.get(task) is not None:
            raise ValueError(
                f'model.tasks has a task "{task}" already, which is the name '
                f'of the distillation of the stage {name}: rename it.')
        distill = copy.deepcopy(dict(spec['distill']))
        kind = distill.setdefault('type', 'mmmultissl.FeatureDistillationTask')
        if kind.endswith('OldHeadDistillationTask'):
            if ema:
                raise ValueError(
                    f"stages.{name} has the teacher 'last_ema' for "
                    'OldHeadDistillationTask, and heads that fit an EMA trunk '
                    "are not kept: set its teacher to 'last'.")
            _name_old_heads(distill, stage)
        distill['teacher'] = dict(
            backbone=copy.deepcopy(stage.cfg.model.backbone),
            checkpoint=stage.checkpoint,
            sha256=None,
            prefix=_EMA_TRUNK if ema else 'backbone.')
        cfg.model.tasks[task] = distill
    return {task: stage.number for task, stage in chosen.items()}


def _name_old_heads(distill: dict, stage: Stage) -> None:
    """Tell learning without forgetting which heads the teacher has."""
    model = stage.cfg.model
    distill.setdefault('heads', {
        task: copy.deepcopy(model.tasks[task]) for task in stage.tasks})
    companions = {name: copy.deepcopy(cfg)
                  for name, cfg in (model.get('companions') or {}).items()
                  if cfg is not None}
    if companions:
        distill.setdefault('companions', companions)
