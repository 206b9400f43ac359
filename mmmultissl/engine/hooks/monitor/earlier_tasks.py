# Copyright (c) mmmultissl contributors. All rights reserved.
"""How well the present trunk still solves the tasks of earlier stages."""
import copy
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.logging import MessageHub, print_log
from mmengine.registry import DATASETS, MODELS
from torch import nn

from mmmultissl.datasets import SeededDataset
from mmmultissl.models.selfsup import MultiSSL
from mmmultissl.utils.seeding import preserved_rng, seed_cpu, seed_step

from .measurement import Measurement, Numbers


class EarlierTasks(Measurement):
    """Losses of earlier tasks: their old heads on the present trunk.

    The model of an earlier stage is kept whole, with its heads, EMA trunk and
    queue as its checkpoint has them; only its trunk is exchanged for the
    present one, and a few held-out batches are put through it. So it measures
    what the trunk has lost for the old head, not what a new head could still
    get out of it; drift and kNN say more of that. Batch norm works on the
    batches, as in pretraining. The value of the old trunk itself, measured
    once at the start, is what forgetting is counted from.

    Args:
        stages (dict[str, dict], optional): Name -> ``dict(config=PATH or
            dict, checkpoint=PATH)``, where wanted with ``tasks``, names of
            those that count, and ``dataset``. Defaults to None: in a run of
            stages those before the present one, as their folders have them,
            with their pretext tasks; in any other run there are none.
        dataset (dict, optional): Config of held-out data with the views of
            the stages. Defaults to None: each stage's training data.
        interval (int): Iterations between two measurements.
            Defaults to 1000.
        batches (int): Batches of each stage. Defaults to 4.
        batch_size (int): Samples of a batch. Defaults to 64.
        seed (int): Of the views, which are always the same. Defaults to 0.

    Raises:
        ValueError: If a stage lacks its config or checkpoint, or one that is
            named has a trunk of other weights. Of a run of stages such a
            stage, before a new column, is left out: frozen, it forgets
            nothing.
    """

    # Shuffling and queues gather over the processes.
    on_all_ranks = True
    steps_seen = 0

    def __init__(self,
                 stages: Optional[Dict[str, dict]] = None,
                 dataset: Optional[dict] = None,
                 interval: int = 1000,
                 batches: int = 4,
                 batch_size: int = 64,
                 seed: int = 0) -> None:
        super().__init__(interval)
        for name, stage in (stages or {}).items():
            if not {'config', 'checkpoint'} <= set(stage):
                raise ValueError(
                    f'earlier_tasks of MonitorHook gives the stage {name} '
                    f'{", ".join(stage) or "nothing"}: set its config and '
                    'its checkpoint.')
        self.stages, self.dataset = stages, dataset
        self.batches, self.batch_size, self.seed = batches, batch_size, seed
        self._earlier: Dict[str, '_EarlierStage'] = {}

    def before_train(self, runner, model: MultiSSL) -> None:
        """Load the earlier stages and measure where they ended.

        Args:
            runner (Runner): Its folder says which stage this is.
            model (MultiSSL): Tells the device.
        """
        device = next(model.parameters()).device
        stages = self.stages
        if stages is None:
            stages = stages_before(runner.work_dir)
        with preserved_rng():
            for name, stage in stages.items():
                stage = dict(stage)
                stage.setdefault('dataset', self.dataset)
                seed_cpu(self.seed)
                earlier = _EarlierStage(name, stage, self.batches,
                                        self.batch_size, self.seed, device)
                if earlier.takes(model.backbone):
                    self._earlier[name] = earlier
                    continue
                problem = (f'The trunk of the stage {name} has other weights '
                           'than the present one, so its heads cannot be put '
                           'on it')
                if self.stages is not None:
                    raise ValueError(f'{problem}: leave it out of '
                                     'earlier_tasks.stages of MonitorHook.')
                print_log(f'{problem}; earlier_tasks leaves it out.',
                          logger='current')

    def measure(self, model: MultiSSL, iteration: int) -> Numbers:
        """Put the held-out batches through the old models.

        Args:
            model (MultiSSL): The model with the present trunk.
            iteration (int): Not used.

        Returns:
            dict[str, float]: For each stage ``earlier/{stage}/objective``,
            its sum of losses, and ``earlier/{stage}/forgetting``, what it has
            risen by; what else its tasks log, such as an accuracy, likewise
            as ``{name}`` and ``{name}_change``.
        """
        numbers = {}
        with preserved_rng():
            for name, stage in self._earlier.items():
                now = stage.scores(model.backbone)
                for key, value in now.items():
                    change = value - stage.at_its_end[key]
                    other = 'forgetting' if key == 'objective' else \
                        f'{key}_change'
                    numbers[f'earlier/{name}/{key}'] = value
                    numbers[f'earlier/{name}/{other}'] = change
        return numbers


def stages_before(work_dir: str) -> Dict[str, dict]:
    """Find the finished stages before one of the same run.

    Args:
        work_dir (str): Folder of a stage, ``RUN/{number}_{name}``.

    Returns:
        dict[str, dict]: Name -> ``config``, ``checkpoint`` and ``tasks``;
        none where the folder is not a stage's.
    """
    # Here, since the runner is among those who import this package.
    from mmmultissl.engine.stages import Record
    folder = Path(work_dir).resolve()
    number = folder.name.partition('_')[0]
    found = {}
    for other in sorted(folder.parent.glob('*_*/stage.json')):
        record = Record.read(str(other.parent))
        if number.isdigit() and record.updates and record.number < int(number):
            found[record.name] = dict(
                config=str(other.parent / 'config.py'),
                checkpoint=record.path(str(other.parent)),
                tasks=record.tasks)
    return found


@contextmanager
def _moment(iteration: int) -> Iterator[None]:
    """Let schedules inside a model stand at the end of its own run."""
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key) for key in ('iter', 'max_iters')}
    hub.update_info('iter', iteration)
    hub.update_info('max_iters', max(iteration, 1))
    try:
        yield
    finally:
        for key, value in before.items():
            hub.update_info(key, value)


class _EarlierStage:
    """A finished stage: its model, its batches and how it scored."""

    def __init__(self, name: str, stage: dict, batches: int, batch_size: int,
                 seed: int, device: torch.device) -> None:
        from mmmultissl.engine.checkpoint import (load_and_compare,
                                                  load_checkpoint, require_fit,
                                                  state_dict_of)
        cfg = stage['config']
        cfg = Config.fromfile(cfg) if isinstance(cfg, str) else Config(cfg)
        self.seed = seed
        self.model = MODELS.build(_model_cfg(cfg, stage.get('tasks')))
        path = stage['checkpoint']
        checkpoint = load_checkpoint(path)
        self._iteration = checkpoint.get('meta', {}).get('iter', 0)
        mismatch = load_and_compare(
            self.model, state_dict_of(checkpoint, source=path))
        require_fit(
            mismatch,
            f'the stage {name}',
            path,
            'Give earlier_tasks the config with which this checkpoint was '
            'trained.',
            surplus_matters=False)
        self.model.to(device).requires_grad_(False).train()
        for encoder in self.model.momentum.values():
            encoder.hold()
        self._state = copy.deepcopy(self.model.state_dict())
        self._data = _read(stage.get('dataset')
                           or cfg.train_dataloader.dataset, batches,
                           batch_size, seed)
        self.at_its_end = self.scores(None)

    def takes(self, trunk: nn.Module) -> bool:
        """Whether a trunk's weights fit, as those of new columns do not."""
        mine, other = (
            {key: value.shape for key, value in each.state_dict().items()
             if hasattr(value, 'shape')}
            for each in (self.model.backbone, trunk))
        return mine == other

    @torch.no_grad()
    def scores(self, trunk: Optional[nn.Module]) -> Dict[str, float]:
        """Score a trunk with the old heads.

        Args:
            trunk (nn.Module, optional): The trunk; None for the old one.

        Returns:
            dict[str, float]: ``objective`` and what else the tasks log.
        """
        totals: Dict[str, float] = {}
        for number, batch in enumerate(self._data):
            # Every batch meets the stage as it ended: a loss writes keys.
            self.model.load_state_dict(self._state)
            if trunk is not None:
                self.model.backbone.load_state_dict(trunk.state_dict())
            # Batches are shuffled, and may be augmented, on the device.
            seed_step(self.seed, 0, number)
            data = self.model.data_preprocessor(copy.copy(batch), False)
            with _moment(self._iteration):
                losses = self.model(**data, mode='loss')
            found = {'objective': 0.}
            for key, value in losses.items():
                if 'loss' in key:
                    found['objective'] += float(value)
                else:
                    found[key] = float(value)
            for key, value in found.items():
                totals[key] = totals.get(key, 0.) + value / len(self._data)
        return totals


def _model_cfg(cfg: Config, tasks: Optional[Sequence[str]]) -> dict:
    """The model of a stage with some of its tasks, losses unweighted."""
    # It is only read: compiling it would cost more than it saves.
    model = dict(cfg.model.to_dict(), balancer=None, compile=False)
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor.to_dict())
    if tasks is not None:
        model['tasks'] = {
            name: task if name in tasks else None
            for name, task in model['tasks'].items()
        }
    # Every weight is in the checkpoint.
    for part in (model['backbone'], *(model.get('companions') or {}).values()):
        if part is not None:
            part.pop('init_cfg', None)
    return model


def _read(dataset: dict, batches: int, batch_size: int,
          seed: int) -> List[dict]:
    source = SeededDataset(DATASETS.build(dataset), seed=seed)
    # Whole batches: they count alike, and batch norm cannot do with one image.
    batches = max(1, min(batches, len(source) // batch_size))
    rows = min(batches * batch_size, len(source))
    chosen = [i * len(source) // rows for i in range(rows)]
    return [
        default_collate([
            source[index, 0] for index in chosen[start:start + batch_size]
        ]) for start in range(0, rows, batch_size)
    ]
