# Copyright (c) mmmultissl contributors. All rights reserved.
"""Several self-supervised tasks on one backbone."""
import logging
from typing import Callable, Dict, List, Optional, Sequence, Union

import torch
import torch.nn as nn
from mmengine.logging import print_log
from mmengine.model import ModuleDict
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.structures import DataSample
from torch import Tensor

from mmmultissl.registry import MODELS
from mmmultissl.utils.arguments import check_arguments

from ..balancers.base import GradientBalancer, TaskLosses
from ..tasks.base import PretextTask
from ..utils import RingQueue
from ..utils import recompute as recompute_in_backward
from .encoded_views import EncodedViews, TaskViews, require_companion
from .momentum_encoder import MomentumEncoder, MomentumSchedule

Watcher = Callable[[EncodedViews, TaskLosses], None]


@MODELS.register_module()
class MultiSSL(BaseSelfSupervisor):
    """Trains one backbone by several self-supervised tasks at once.

    Multi-task combination of "Sound and Visual Representation Learning with
    Multiple Pretraining Tasks" (CVPR 2022). That every view is encoded once
    for all tasks, and that tasks with equal EMA schedules share one EMA
    trunk, is our design: N contrastive tasks cost little more than one.

    With a single task it computes what mmpretrain's own algorithm computes
    from the same weights, queue and seed.

    A task that compares modalities reads views through a companion too: an
    encoder of the other modality, shared by all tasks, that is trained along.
    Only what lies at ``backbone.*`` is meant to be kept.

    Args:
        backbone (dict): Config of the trunk, such as ``mmpretrain.ResNet``.
        tasks (dict): Task name -> config of a
            :class:`~mmmultissl.models.tasks.PretextTask`. A task set to None
            is left out, so that a child config can drop one.
        companions (dict, optional): Name -> config of an encoder of another
            modality, such as ``dict(visual=dict(type='mmpretrain.ResNet',
            depth=18))``; one set to None is left out. Defaults to None:
            there are none.
        balancer (dict, optional): Config of what makes one loss of many.
            Defaults to ``dict(type='mmmultissl.FixedWeights')``, a plain sum.
        loss_scales (dict[str, float], optional): Task name -> factor of all
            its losses, before the balancer sees them, as if the task counted
            in another unit: to find out which balancers mind. To weigh tasks
            use a balancer. Defaults to None: 1 for all.
        shuffle_bn (bool): Whether EMA trunks see a batch shuffled over the
            processes (MoCo). Set it to False with SyncBN or a trunk without
            batch norm. Defaults to True.
        channels_last (bool): Whether weights lie channels-last in memory,
            which is faster for most convolutions. Defaults to False.
        recompute (Sequence[str]): Parts of the trunk whose activations are
            computed again in the backward pass instead of being kept, such as
            ``('layer1', )``: less memory, more time, the same result. Under
            ``compile`` the compiler decides that by itself. Defaults to none.
        compile (bool | dict): Whether trunk and necks go through
            ``torch.compile``, or its arguments. Defaults to False.
        data_preprocessor (dict, optional): Config of the preprocessing on the
            device. Defaults to None: mmpretrain's ``SelfSupDataPreprocessor``.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If there is no task, a name or config cannot be used, or
            companions and tasks do not fit together.
    """

    def __init__(self,
                 backbone: dict,
                 tasks: Dict[str, Optional[dict]],
                 companions: Optional[Dict[str, Optional[dict]]] = None,
                 balancer: Optional[dict] = None,
                 loss_scales: Optional[Dict[str, float]] = None,
                 shuffle_bn: bool = True,
                 channels_last: bool = False,
                 recompute: Sequence[str] = (),
                 compile: Union[bool, dict] = False,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(
            backbone=MODELS.build(backbone),
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg)
        self.shuffle_bn = shuffle_bn
        self.tasks = ModuleDict(_build_tasks(tasks))
        self.loss_scales = _checked_scales(loss_scales or {}, self.tasks)
        self.companions = ModuleDict(
            _build_companions(companions or {}, self.tasks))
        self.balancer = _build_balancer(
            balancer or dict(type='mmmultissl.FixedWeights'))
        self.balancer.set_tasks(list(self.tasks))
        self.balancer.set_queues(
            [m for m in self.tasks.modules() if isinstance(m, RingQueue)])
        self._gram_requested = False
        #: Tensor, optional: Inner products of the tasks' gradients on the
        #: trunk's features, as last measured, ``(T, T)``.
        self.last_gram: Optional[Tensor] = None
        self._watchers: List[Watcher] = []
        self._share_momentum_encoders()
        if channels_last:
            self.to(memory_format=torch.channels_last)
        if recompute and not compile:
            recompute_in_backward(self.backbone, recompute)
        if compile:
            self._compile_parts({} if compile is True else compile)

    def _share_momentum_encoders(self) -> None:
        """Give every EMA schedule one trunk, and say who shares it."""
        self.momentum = nn.ModuleDict()
        self._encoder_of: Dict[str, str] = {}
        sharers: Dict[MomentumSchedule, List[str]] = {}
        for name, task in self.tasks.items():
            if task.schedule is not None:
                sharers.setdefault(task.schedule, []).append(name)
        for number, (schedule, names) in enumerate(sharers.items()):
            encoder = MomentumEncoder(self.backbone, schedule)
            for name in names:
                encoder.add_task(name, self.tasks[name].momentum_modules())
                self._encoder_of[name] = f'ema{number}'
            self.momentum[f'ema{number}'] = encoder
            print_log(
                f'EMA trunk ema{number} (momentum {schedule}) serves the '
                f'task{"s" * (len(names) > 1)} {", ".join(names)}.',
                logger='current')
        without = [name for name in self.tasks if name not in self._encoder_of]
        if without:
            print_log(
                f'No EMA trunk for the task{"s" * (len(without) > 1)} '
                f'{", ".join(without)}.',
                logger='current')

    def follow_optimizer(
            self, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
        """Let the EMA trunks move once per step of an optimiser.

        ``PretrainLoop`` calls this. In a loop of one's own without it they
        move at every forward pass, as mmpretrain's do, which differs under
        gradient accumulation only.

        Args:
            optimizer (torch.optim.Optimizer): The optimiser of the trunk.

        Returns:
            Callable: Ends it.
        """
        self.balancer.check_optimizer(optimizer)
        stops = [e.follow(optimizer) for e in self.momentum.values()]

        def stop() -> None:
            for each in stops:
                each()

        return stop

    def announce_dataset(self,
                         num_images: int,
                         iterations: Optional[int] = None) -> None:
        """Say which queues are too long for a data set.

        ``PretrainLoop`` calls this. A queue of more than half the images
        holds older keys of the very images that are compared with it.

        Args:
            num_images (int): Images of a pass.
            iterations (int, optional): Iterations of a pass, for a balancer
                that counts in passes. Defaults to None: not known.
        """
        self.balancer.set_pass_length(iterations)
        for name, task in self.tasks.items():
            longest, owner = max(
                ((module.keys.size(1), path.rpartition('.')[0])
                 for path, module in task.named_modules()
                 if isinstance(module, RingQueue)),
                default=(0, ''))
            if longest > num_images // 2:
                key = '.'.join(filter(None, (name, owner, 'queue_len')))
                print_log(
                    f'The queue of task "{name}" holds {longest} keys, but a '
                    f'pass has {num_images} images, so that many negatives '
                    f'are older views of the same image: set model.tasks.{key}'
                    f' to {num_images // 2} or less.',
                    logger='current',
                    level=logging.WARNING)

    def watch(self, look: Watcher) -> Callable[[], None]:
        """Show the encoded views and the losses of every step to somebody.

        They are shown after the tasks have read them and before the balancer
        weighs, with their graphs: who keeps something of them detaches it.

        Args:
            look (Callable): Gets the views and the losses, task -> loss name
                -> scalar.

        Returns:
            Callable: Ends it.
        """
        self._watchers.append(look)
        return lambda: self._watchers.remove(look)

    @property
    def last_gram_names(self) -> List[str]:
        """list[str]: The tasks of the rows of :attr:`last_gram`."""
        return list(self.tasks)

    def request_gram(self) -> None:
        """Measure the tasks' gradients in the next training step.

        The next :meth:`loss` in training lets the tasks read copies of the
        features, and its backward pass leaves :attr:`last_gram`. With a
        balancer that does so at every step nothing more is done; with another
        one the gradients are added up as always. With several processes all
        of them must ask for it.
        """
        self._gram_requested = True

    def _compile_parts(self, options: dict) -> None:
        # Only what is a pure function of its input: queues and EMA updates
        # write in place and would break the graph at every step.
        parts = [self.backbone, *self.companions.values()]
        parts += [encoder.backbone for encoder in self.momentum.values()]
        for task in self.tasks.values():
            parts += task.compilable_modules()
        for encoder in self.momentum.values():
            parts += [m for task in encoder.tasks.values()
                      for m in task.values()]
        for part in parts:
            part.compile(**options)

    def loss(self,
             inputs: Union[Dict[str, Tensor], List[Tensor]],
             data_samples: Optional[List[DataSample]] = None,
             **kwargs) -> Dict[str, Tensor]:
        """Encode the views once and let every task compute its losses.

        Args:
            inputs (dict | list[Tensor]): View name -> batch, or mmpretrain's
                list of views, which are named ``view0``, ``view1``, ...
            data_samples (list, optional): mmpretrain's data samples.

        Returns:
            dict[str, Tensor]: ``{task}.{loss}`` -> weighted loss.
        """
        views = EncodedViews(
            name_views(inputs), self.backbone, self.shuffle_bn,
            self.companions)
        self.derive_views(views)
        self._encode_queries(views)
        self._fork_queries(views)
        self._update_momentum_encoders()

        losses = {
            name: task.loss(self._views_of(name, views), data_samples)
            for name, task in self.tasks.items()
        }
        for name, scale in self.loss_scales.items():
            losses[name] = {
                key: value * scale if 'loss' in key else value
                for key, value in losses[name].items()
            }
        for look in self._watchers:
            look(views, losses)
        losses = self.balancer(losses)
        return {
            f'{name}.{key}': value
            for name, task_losses in losses.items()
            for key, value in task_losses.items()
        }

    def val_step(self, data: dict) -> List[dict]:
        """Let every task judge a batch that it is not trained on.

        What :class:`~mmmultissl.evaluation.PretextScores` averages.

        Args:
            data (dict): A batch, as the data loader gives it.

        Returns:
            list[dict]: One dict: the numbers of :meth:`loss` as floats, and
            ``batch_size``.

        Raises:
            ValueError: If a task has a memory of keys, which judging would
                change.
        """
        if self.momentum:
            raise ValueError(
                f'The task {next(iter(self._encoder_of))} fills a memory of '
                'keys as it reads a batch, so it cannot be judged on others: '
                'set it to None in model.tasks, or leave val_dataloader and '
                'test_dataloader out.')
        data = self.data_preprocessor(data, False)
        scores = {key: float(value)
                  for key, value in self(**data, mode='loss').items()}
        return [dict(scores, batch_size=len(data['data_samples']))]

    #: The same.
    test_step = val_step

    def derive_views(self, views: EncodedViews) -> None:
        """Add the views that tasks make of those of the batch.

        Args:
            views (EncodedViews): The views, which are added to.

        Raises:
            ValueError: If a view that they are made of is not there.
        """
        for name, task in self.tasks.items():
            for view, (source, function) in task.derived_views().items():
                views.require([source], f'Task "{name}"')
                views.derive(view, source, function)

    def _encode_queries(self, views: EncodedViews) -> None:
        # All of them before the EMA trunks move: these copy the BN statistics
        # that the query passes have just updated, as mmpretrain's do.
        for name, task in self.tasks.items():
            read = tuple(view for _, view in task.companion_views)
            views.require(task.query_views + task.key_views + read,
                          f'Task "{name}"')
        for task in self.tasks.values():
            for view in task.query_views:
                views.query(view)

    def _fork_queries(self, views: EncodedViews) -> None:
        weigh = (self.balancer.combine
                 if isinstance(self.balancer, GradientBalancer) else None)
        if not (self.training and torch.is_grad_enabled()) or not (
                weigh or self._gram_requested):
            return
        self._gram_requested = False

        def combine(gram: Tensor) -> Optional[Tensor]:
            weights = weigh(gram) if weigh else None
            self.last_gram = self.balancer.last_gram if weigh else gram
            return weights

        if not views.fork(list(self.tasks), combine) and weigh:
            raise ValueError(
                f'{type(self.balancer).__name__} weighs gradients on the '
                "trunk's features, but none of them has one: train the trunk, "
                'or set model.balancer.type to mmmultissl.FixedWeights.')

    def _update_momentum_encoders(self) -> None:
        online = {
            name: self.tasks[name].momentum_modules()
            for name in self._encoder_of
        }
        for encoder in self.momentum.values():
            encoder.update(self.backbone, online)

    def _views_of(self, name: str, views: EncodedViews) -> TaskViews:
        key = self._encoder_of.get(name)
        return TaskViews(views, name, self.momentum[key] if key else None)


def _build_tasks(tasks: Dict[str, Optional[dict]]) -> Dict[str, nn.Module]:
    if not isinstance(tasks, dict):
        raise ValueError(
            f'model.tasks is a {type(tasks).__name__}: write a dict of task '
            'name -> config, so that a child config can change one task.')
    used = {name: cfg for name, cfg in tasks.items()
            if cfg is not None and name not in ('_scope_', '_delete_')}
    if not used:
        raise ValueError('model.tasks names no task: add one, such as '
                         'moco=dict(type="mmmultissl.MoCoV2Task", ...).')
    for name in used:
        if ('.' in name or 'loss' in name or not name
                or hasattr(ModuleDict(), name)):
            raise ValueError(
                f'A task cannot be called "{name}": use a name without a '
                'dot or the word loss, and not that of an attribute of '
                "mmengine's ModuleDict, such as moco.")
        _require_task_type(name, used[name])
    left_out = [name for name, cfg in tasks.items() if cfg is None]
    print_log(
        f'Tasks: {", ".join(used)}.' +
        (f' Left out: {", ".join(left_out)}.' if left_out else ''),
        logger='current')
    return {name: MODELS.build(cfg) for name, cfg in used.items()}


def _require_task_type(name: str, cfg: dict) -> None:
    kind = cfg.get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, PretextTask)):
        MODELS.import_from_location()
        known = sorted(
            f'mmmultissl.{key}' for key, value in MODELS.module_dict.items()
            if isinstance(value, type) and issubclass(value, PretextTask))
        what = f'has the type {kind}, which is no task' if kind else \
            'has no type (is its name that of an inherited task?)'
        raise ValueError(f'Task "{name}" {what}: set its type to one of '
                         f'{", ".join(known)}.')
    check_arguments(cls, cfg, f'Task "{name}"')


def _build_companions(companions: Dict[str, Optional[dict]],
                      tasks: ModuleDict) -> Dict[str, nn.Module]:
    built = {name: MODELS.build(cfg) for name, cfg in companions.items()
             if cfg is not None and name not in ('_scope_', '_delete_')}
    read = set()
    for name, task in tasks.items():
        for companion, _ in task.companion_views:
            require_companion(companion, built, f'Task "{name}"')
            read.add(companion)
    idle = sorted(set(built) - read)
    if idle:
        raise ValueError(
            f'No task reads the companion {", ".join(idle)}, so nothing would '
            f'train it: set model.companions.{idle[0]} to None, or add a task '
            'that reads it.')
    if built:
        print_log(
            f'Companions, trained along and not kept: {", ".join(built)}.',
            logger='current')
    return built


def _checked_scales(scales: Dict[str, float],
                    tasks: ModuleDict) -> Dict[str, float]:
    for name, scale in scales.items():
        if name not in tasks:
            raise ValueError(
                f'model.loss_scales names {name}, but the tasks are '
                f'{", ".join(tasks)}: correct the name.')
        if not 0 < scale < float('inf'):
            raise ValueError(
                f'model.loss_scales has {scale} for the task "{name}": give a '
                'number above 0.')
    return dict(scales)


def _build_balancer(cfg: dict) -> nn.Module:
    if not cfg.get('weights', True):
        # The shipped configs have empty ones, so that a child can fill them;
        # a child that only changes the type need not take them away.
        cfg = {key: value for key, value in cfg.items() if key != 'weights'}
    cls = MODELS.get(cfg['type'])
    if cls is not None:
        check_arguments(cls, cfg, 'The balancer')
    return MODELS.build(cfg)


def name_views(
        inputs: Union[Dict[str, Tensor], List[Tensor]]) -> Dict[str, Tensor]:
    if isinstance(inputs, dict):
        return inputs
    return {f'view{i}': view for i, view in enumerate(inputs)}
