# Copyright (c) mmmultissl contributors. All rights reserved.
"""A training loop that a killed run leaves and re-enters without a trace."""
import math
from typing import Callable, Dict, List, Optional, Tuple, Union

import torch
from mmengine.device import get_device
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.base_loop import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch.utils.data import BatchSampler, DataLoader

from mmmultissl.datasets import PassSampler, SeededDataset
from mmmultissl.engine.hooks import (FiniteLossHook, ResumeRecordHook,
                                     SkippedSampleHook)
from mmmultissl.engine.hooks.finite_loss_hook import log_interval
from mmmultissl.registry import LOOPS
from mmmultissl.utils import host_memory
from mmmultissl.utils.seeding import seed_step


@LOOPS.register_module()
class PretrainLoop(IterBasedTrainLoop):
    """Iteration-based training that resumes bit for bit.

    Nothing random is carried from one iteration to the next: a step is seeded
    from (seed, rank, iteration), a sample from (seed, pass, index), and the
    order of the data is a function of (seed, pass). So a run that continues
    from a checkpoint needs only the number of iterations done. The loop

    - puts :class:`SeededDataset` around the dataset of the config;
    - on resume sets the sampler to its position and loads nothing twice;
    - writes a record to checkpoints (seed, world size, batch size, …) and
      refuses to go on with another one, which would be inexact in silence;
    - registers ``FiniteLossHook``, ``SkippedSampleHook`` and
      ``ResumeRecordHook`` where the config does not;
    - logs the pass (``1.25``: a quarter of the second one is done) next to
      mmengine's iteration and remaining time, and counts by iterations in the
      log whatever ``log_processor.by_epoch`` says.

    Epochs are only a way to write a number of iterations:
    ``max_epochs * len(dataloader)``. See docs/exact_resume.md.

    Args:
        runner (Runner): The runner.
        dataloader (dict | DataLoader): The config of the training data, with
            ``sampler=dict(type='mmmultissl.PassSampler')``; or a dataloader
            over a :class:`SeededDataset` with such a sampler.
        max_iters (int, optional): Number of iterations. Defaults to None.
        max_epochs (int, optional): Number of passes over the data instead.
            Defaults to None.
        val_begin (int): The first iteration to validate at. Defaults to 1.
        val_interval (int): Iterations between validations. Defaults to 1000.
        dynamic_intervals (list[tuple[int, int]], optional): As in mmengine.
            Defaults to None.
        exact_resume (bool): Whether a checkpoint of another seed, world size,
            batch size … is an error; otherwise it is a warning and the run
            goes on from about there. Defaults to True.
        keep_freed_memory (bool): Whether training on a CPU keeps the memory
            of freed tensors, which is a third faster and takes up to a fifth
            more of it. Defaults to True.

    Raises:
        ValueError: If the length, the sampler or the batches are not given in
            a way that can be resumed.
    """

    def __init__(
            self,
            runner,
            dataloader: Union[DataLoader, Dict],
            max_iters: Optional[int] = None,
            max_epochs: Optional[int] = None,
            val_begin: int = 1,
            val_interval: int = 1000,
            dynamic_intervals: Optional[List[Tuple[int, int]]] = None,
            exact_resume: bool = True,
            keep_freed_memory: bool = True) -> None:
        if (max_iters is None) == (max_epochs is None):
            raise ValueError(
                f'PretrainLoop got max_iters={max_iters} and max_epochs='
                f'{max_epochs}; set exactly one of them in train_cfg, and the '
                'other to None where it is inherited.')
        # Not the parent's __init__: it starts worker processes before a
        # checkpoint can say where they are to begin (mmengine 0.10.7).
        BaseLoop.__init__(self, runner, _with_seeded_dataset(dataloader))
        if keep_freed_memory and get_device() == 'cpu' and \
                host_memory.keep_freed_memory():
            runner.logger.info(
                'Freed memory is kept for the next step; '
                'train_cfg.keep_freed_memory=False gives it back, for a '
                'smaller peak and a slower step.')
        self._check_dataloader()
        self._keeps_sampler_seed = isinstance(
            dataloader, dict) and 'seed' in dataloader['sampler']
        # Before a checkpoint replaces it.
        self._configured_seed = runner._randomness_cfg.get('seed')
        self._set_length(max_iters, max_epochs)
        self._epoch = 0
        self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.dynamic_milestones, self.dynamic_intervals = \
            calc_dynamic_intervals(val_interval, dynamic_intervals)
        self.exact_resume = exact_resume
        self.stop_training = False
        if hasattr(self.seeded_dataset, 'metainfo'):
            runner.visualizer.dataset_meta = self.seeded_dataset.metainfo
        runner.log_processor.by_epoch = False
        self._record_hook = _ensure_hook(runner, ResumeRecordHook)
        _ensure_hook(runner, FiniteLossHook)
        _ensure_hook(runner, SkippedSampleHook)

    @property
    def seeded_dataset(self) -> SeededDataset:
        """SeededDataset: The training data."""
        return self.dataloader.dataset

    @property
    def seed(self) -> int:
        """int: The seed of the run, the same on all ranks."""
        runner = self.runner
        if runner._randomness_cfg.get('diff_rank_seed', False):
            # mmengine has added the rank; here the rank is hashed in instead.
            return runner.seed - runner.rank
        return runner.seed

    @property
    def epoch(self) -> int:
        """int: Whole passes done."""
        return int(self._passes(self._iter))

    def run(self) -> torch.nn.Module:
        """Train from the current iteration to the last one.

        Returns:
            nn.Module: The trained model.

        Raises:
            ValueError: If the configuration cannot be resumed exactly, or the
                checkpoint was written by another configuration.
        """
        runner = self.runner
        self._check_intervals()
        self._check_schedulers()
        if self._iter > 0:
            self._check_record()
            self._warn_of_reordered_sums()
        drawn = ' (drawn, because randomness.seed is not set)' \
            if self._configured_seed is None and self._iter == 0 else ''
        runner.logger.info(f'Seed {self.seed}{drawn}, from iteration '
                           f'{self._iter} to {self._max_iters}, '
                           f'{len(self.dataloader)} iterations per pass.')
        self._announce_dataset()
        stop_following = self._announce_optimizers()
        runner.call_hook('before_train')
        # mmengine's hooks expect one epoch around all iterations.
        runner.call_hook('before_train_epoch')
        self._position_data()
        self.dataloader_iterator = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validates_now():
                runner.val_loop.run()
        # Lets the worker processes go.
        self.dataloader_iterator = None
        for stop in stop_following:
            stop()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def run_iter(self, data_batch) -> None:
        """Train one iteration, seeded by (seed, rank, iteration).

        Args:
            data_batch (Any): A batch of the dataloader.
        """
        seed_step(self.seed, self.runner.rank, self._iter)
        if (self._iter + 1) % log_interval(self.runner) == 0:
            self.runner.message_hub.update_scalar(
                'train/pass', self._passes(self._iter + 1))
        super().run_iter(data_batch)

    def record(self) -> dict:
        """What a run and its continuation must have in common.

        Returns:
            dict[str, int | bool]: Plain values by name.
        """
        return dict(
            seed=int(self.seed),
            world_size=int(self.runner.world_size),
            batch_size=int(self.dataloader.batch_size),
            accumulative_counts=self._accumulative_counts(),
            dataset_length=len(self.seeded_dataset),
            shuffle=bool(self.dataloader.sampler.shuffle),
            max_iters=self._max_iters)

    def _passes(self, iteration: int) -> float:
        samples = iteration * self.dataloader.batch_size
        return samples * self.runner.world_size / len(self.seeded_dataset)

    def _validates_now(self) -> bool:
        return (self.runner.val_loop is not None
                and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0
                     or self._iter == self._max_iters))

    def _position_data(self) -> None:
        """Set seeds and position; the workers start after this."""
        self.seeded_dataset.seed = self.seed
        if not self._keeps_sampler_seed:
            self.dataloader.sampler.seed = self.seed
        self.dataloader.sampler.skip(self._iter * self.dataloader.batch_size)

    def _set_length(self, max_iters: Optional[int],
                    max_epochs: Optional[int]) -> None:
        name, value = ('max_epochs', max_epochs) if max_iters is None else (
            'max_iters', max_iters)
        if int(value) != value or value < 1:
            raise ValueError(f'PretrainLoop got {name}={value}; set it to a '
                             'whole number of at least 1.')
        per_pass = len(self.dataloader)
        batch = self.dataloader.batch_size * self.runner.world_size
        if batch > len(self.seeded_dataset):
            raise ValueError(
                f'A step takes {batch} samples (batch_size '
                f'{self.dataloader.batch_size} in each of '
                f'{self.runner.world_size} processes), but the data set has '
                f'{len(self.seeded_dataset)}, so that samples would be '
                'contrasted with themselves: lower train_dataloader.'
                'batch_size or give more samples.')
        if max_iters is not None:
            self._max_iters = int(max_iters)
            self._max_epochs = math.ceil(self._max_iters / per_pass)
            return
        self._max_epochs = int(max_epochs)
        self._max_iters = self._max_epochs * per_pass

    def _check_dataloader(self) -> None:
        loader = self.dataloader
        if not isinstance(loader.sampler, PassSampler):
            raise ValueError(
                'PretrainLoop cannot resume exactly with '
                f'{type(loader.sampler).__name__}; set train_dataloader='
                "dict(sampler=dict(_delete_=True, "
                "type='mmmultissl.PassSampler')).")
        if type(loader.batch_sampler) is not BatchSampler:
            raise ValueError(
                'PretrainLoop cannot tell how many samples '
                f'{type(loader.batch_sampler).__name__} takes per iteration; '
                'remove batch_sampler from train_dataloader and set '
                'batch_size.')
        if not isinstance(loader.dataset, SeededDataset):
            raise ValueError(
                'PretrainLoop needs samples that do not depend on what ran '
                'before; give train_dataloader as a config dict without '
                'num_batch_per_epoch, or wrap the dataset in SeededDataset.')

    def _optim_wrappers(self) -> list:
        wrapper = self.runner.optim_wrapper
        return list(wrapper.optim_wrappers.values()) if isinstance(
            wrapper, OptimWrapperDict) else [wrapper]

    def _accumulative_counts(self) -> int:
        return math.lcm(*(w._accumulative_counts
                          for w in self._optim_wrappers()))

    def _bare_model(self) -> torch.nn.Module:
        model = self.runner.model
        return model.module if is_model_wrapper(model) else model

    def _announce_dataset(self) -> None:
        """Tell a model with queues how many images there are."""
        model = self._bare_model()
        if hasattr(model, 'announce_dataset'):
            model.announce_dataset(
                len(self.seeded_dataset), len(self.dataloader))

    def _announce_optimizers(self) -> List[Callable[[], None]]:
        """Tell a model with EMA copies when an optimiser has stepped."""
        model = self._bare_model()
        if not hasattr(model, 'follow_optimizer'):
            return []
        return [
            model.follow_optimizer(wrapper.optimizer)
            for wrapper in self._optim_wrappers()
        ]

    def _check_intervals(self) -> None:
        """Refuse checkpoints that could not be resumed exactly."""
        counts = self._accumulative_counts()
        for hook in self.runner.hooks:
            if not isinstance(hook, CheckpointHook):
                continue
            if hook.by_epoch:
                raise ValueError(
                    'PretrainLoop counts iterations, but the CheckpointHook '
                    'counts epochs; set default_hooks=dict(checkpoint=dict('
                    'by_epoch=False, interval=<iterations>)).')
            if hook.interval > 0 and hook.interval % counts:
                raise ValueError(
                    'A checkpoint between two optimiser steps would lose '
                    'gradients: set the interval of the CheckpointHook '
                    f'({hook.interval}) to a multiple of accumulative_counts '
                    f'({counts}).')
            if hook.save_best and any(
                    interval % counts for interval in self.dynamic_intervals):
                raise ValueError(
                    'save_best would save between two optimiser steps and '
                    'lose gradients: set val_interval to a multiple of '
                    f'accumulative_counts ({counts}).')

    def _check_schedulers(self) -> None:
        schedulers = self.runner.param_schedulers or []
        if isinstance(schedulers, dict):
            schedulers = [s for group in schedulers.values() for s in group]
        for scheduler in schedulers:
            if scheduler.by_epoch:
                raise ValueError(
                    'PretrainLoop counts iterations, but the parameter '
                    f'scheduler {type(scheduler).__name__} counts epochs and '
                    'would never move; set by_epoch=False, or by_epoch=True '
                    'with convert_to_iter_based=True.')

    def _check_record(self) -> None:
        """Compare this run with the one that wrote the checkpoint."""
        loaded = self._record_hook.loaded
        if loaded is None:
            self._object('was not written by PretrainLoop, so where it stands '
                         'in the data is not known; start a new run with '
                         'load_from instead of resume')
            return
        own = self.record()
        if self._configured_seed is not None:
            own['seed'] = int(self._configured_seed)
        unequal = [
            name for name in own
            if name != 'max_iters' and loaded.get(name) != own[name]
        ]
        if unequal:
            theirs = ', '.join(f'{n}={loaded.get(n)}' for n in unequal)
            ours = ', '.join(f'{n}={own[n]}' for n in unequal)
            self._object(f'was written with {theirs}, but this run has '
                         f'{ours}; use the same values')
        if self._iter % own['accumulative_counts']:
            self._object(
                f'is of iteration {self._iter}, between two optimiser steps '
                f'(accumulative_counts={own["accumulative_counts"]}), and '
                'lacks the gradients gathered so far; resume from another one')
        if loaded.get('max_iters') != own['max_iters']:
            self.runner.logger.warning(
                f'The run that is resumed was to end at iteration '
                f'{loaded.get("max_iters")}, this one ends at '
                f'{own["max_iters"]}; learning-rate schedules keep the end '
                'that the checkpoint holds.')

    def _warn_of_reordered_sums(self) -> None:
        """Say when DDP itself stands in the way of equal bits.

        After its first backward pass DDP sorts the gradients into other
        buckets, unless it looks for unused parameters. Of three numbers or
        more the sum then comes in another order in the first resumed step.
        """
        if (self.runner.world_size > 2
                and not getattr(self.runner.model, 'find_unused_parameters',
                                True)):
            self.runner.logger.warning(
                'With more than two processes DDP adds the gradients of the '
                'first resumed step in another order, so the last bits may '
                'differ from those of an uninterrupted run; set '
                'find_unused_parameters=True from the start of a run to '
                'exclude that.')

    def _object(self, what: str) -> None:
        if self.exact_resume:
            raise ValueError(
                f'The checkpoint to resume from {what}, or set train_cfg='
                'dict(exact_resume=False) to go on inexactly.')
        self.runner.logger.warning(
            f'The checkpoint to resume from {what}; this run goes on, but '
            'does not end where an uninterrupted one would.')


def _with_seeded_dataset(dataloader: Union[DataLoader, Dict]):
    """Put SeededDataset around the dataset of a dataloader's config."""
    if not isinstance(dataloader, dict):
        return dataloader
    if 'sampler' not in dataloader:
        raise ValueError('train_dataloader has no sampler; set sampler='
                         "dict(type='mmmultissl.PassSampler').")
    wrapped = dict(dataloader)
    dataset = wrapped['dataset']
    if not isinstance(dataset, SeededDataset):
        wrapped['dataset'] = dict(type=SeededDataset, dataset=dataset)
    return wrapped


def _ensure_hook(runner, hook_type: type):
    """Get the runner's hook of a type, registered here where it has none."""
    for hook in runner.hooks:
        if isinstance(hook, hook_type):
            return hook
    hook = hook_type()
    runner.register_hook(hook)
    return hook
