# Copyright (c) mmmultissl contributors. All rights reserved.
"""Stay near, or come near, the features of a frozen encoder."""
import copy
from contextlib import contextmanager
from typing import Dict, Iterator, List, Optional, Sequence

import torch.nn as nn
from torch import Tensor

from mmmultissl.registry import MODELS
from mmmultissl.utils.arguments import check_arguments
from mmmultissl.utils.seeding import preserved_cpu_rng, seed_cpu
from mmmultissl.utils.setting_kinds import dict_of, is_number

from ..losses.distillation import DistillationDistance, EuclideanDistance
from ..selfsup.encoded_views import Features, TaskViews
from ..utils import enqueued_at_the_end
from .base import PretextTask
from .teacher import Teacher

_LAYOUTS = ('pooled', 'dense')


@MODELS.register_module()
class FeatureDistillationTask(PretextTask):
    """Distance between the trunk's features and those of a frozen teacher.

    Beside another task it keeps the trunk from forgetting the encoder of an
    earlier stage (incremental learning); several of them and no other task
    make one encoder of several (amalgamation). "Sound and Visual
    Representation Learning with Multiple Pretraining Tasks" (CVPR 2022)
    learns its tasks incrementally and names Euclidean and contrastive
    distances; how they enter is our choice.

    What it draws, it draws from a generator of its own, and it reads views
    that are encoded anyway. So at weight 0 a run is, bit for bit, what it is
    without this task.

    Args:
        teacher (dict): Arguments of
            :class:`~mmmultissl.models.tasks.Teacher`: ``backbone``,
            ``checkpoint``, ``sha256`` and ``prefix``.
        distance (dict, optional): Config of a
            :class:`~mmmultissl.models.losses.DistillationDistance`. Defaults
            to ``dict(type='mmmultissl.EuclideanDistance')``.
        features (str): 'pooled', means of maps, or 'dense', all their cells.
            Defaults to 'pooled'.
        stage (int): Which of the maps in ``out_indices``. Defaults to -1, the
            last.
        predictor (dict, optional): Arguments of
            :class:`~mmmultissl.models.heads.DistillationPredictor`, such as
            ``dict(in_channels=512)``, or, with a ``type``, the config of
            another module, for the student's features. Defaults to None:
            these are compared as they are.
        weight (float): Weight of the distance. Defaults to 1.
        views (Sequence[str]): The views that both encode; the mean over them
            is taken. Defaults to ('view0', ): the one that MoCo and DenseCL
            encode with gradient, so that no pass of the trunk is added.
        seed (int): Seed of predictor and queue. Defaults to 0.
        init_cfg (dict, optional): Config of the initialisation.
            Defaults to None.

    Raises:
        ValueError: If an argument cannot be used.
    """

    def __init__(self,
                 teacher: dict,
                 distance: Optional[dict] = None,
                 features: str = 'pooled',
                 stage: int = -1,
                 predictor: Optional[dict] = None,
                 weight: float = 1.,
                 views: Sequence[str] = ('view0', ),
                 seed: int = 0,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if features not in _LAYOUTS:
            raise ValueError(
                f'FeatureDistillationTask got features="{features}": set one '
                f'of {", ".join(_LAYOUTS)}.')
        check_weight(weight, 'FeatureDistillationTask')
        if not views or isinstance(views, str):
            raise ValueError(
                f'FeatureDistillationTask got views={views!r}: name them in a '
                "list, such as ('view0', ).")
        self.query_views = tuple(views)
        self.features = features
        self.stage = stage
        self.weight = weight
        self.seed = seed
        with own_generator(seed):
            self.teacher = Teacher.of(teacher, 'FeatureDistillationTask')
            self.distance = _build_distance(distance)
            self.predictor = _build_predictor(predictor, features == 'dense')

    def init_weights(self) -> None:
        """Fill the teacher; nothing else is drawn again."""
        with own_generator(self.seed):
            super().init_weights()
        self.teacher.load()

    def compilable_modules(self) -> List[nn.Module]:
        """Get the teacher's encoder and the predictor."""
        return [self.teacher.backbone
                ] + ([] if self.predictor is None else [self.predictor])

    def loss(self,
             views: TaskViews,
             data_samples: Optional[list] = None) -> Dict[str, Tensor]:
        """Compute the weighted distance.

        Args:
            views (TaskViews): The encoded views.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``, and ``distance``, which has no
            weight and is only logged.
        """
        distances = []
        with enqueued_at_the_end(self.distance):
            for view in self.query_views:
                student = self._select(views.query(view))
                teacher = self._select(self.teacher(views.input(view)))
                if self.weight == 0:
                    # Not even zeros reach the trunk, which could change the
                    # order of its sums.
                    student = student.detach()
                if self.predictor is not None:
                    student = self.predictor(student)
                distances.append(self.distance(student, teacher))
        distance = sum(distances) / len(distances)
        return dict(loss=self.weight * distance, distance=distance.detach())

    def _select(self, maps: Features) -> Tensor:
        if not -len(maps) <= self.stage < len(maps):
            raise ValueError(
                f'FeatureDistillationTask got stage={self.stage}, but an '
                f'encoder gives {len(maps)} maps: set out_indices of both '
                'backbones, or another stage.')
        chosen = maps[self.stage]
        return chosen.mean((2, 3)) if self.features == 'pooled' else chosen


@contextmanager
def own_generator(seed: int) -> Iterator[None]:
    """Draw from a generator of one's own, and leave the global ones alone.

    Args:
        seed (int): Its seed.
    """
    with preserved_cpu_rng():
        seed_cpu(seed)
        yield


def check_weight(weight: float, owner: str) -> None:
    """Refuse the weight of a loss that would be trained against.

    Args:
        weight (float): The weight.
        owner (str): Whose it is, for the error.

    Raises:
        ValueError: If it is negative or no number.
    """
    if not (is_number(weight) and weight >= 0):
        raise ValueError(f'{owner} got weight={weight!r}: set 0 or more.')


def _build_distance(cfg: Optional[dict]) -> DistillationDistance:
    where = 'distance of FeatureDistillationTask'
    cfg = dict(dict_of(where, cfg) or dict(type=EuclideanDistance))
    kind = cfg.get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if not (isinstance(cls, type) and issubclass(cls, DistillationDistance)):
        known = sorted(f'mmmultissl.{name}'
                       for name, value in MODELS.module_dict.items()
                       if isinstance(value, type)
                       and issubclass(value, DistillationDistance))
        raise ValueError(f'{where} has the type {kind}: set it to one of '
                         f'{", ".join(known)}.')
    check_arguments(cls, cfg, where)
    # The class, because a run's default scope is another library's, where a
    # name without scope is not known.
    return MODELS.build(dict(cfg, type=cls))


def _build_predictor(cfg: Optional[dict],
                     dense: bool) -> Optional[nn.Module]:
    if cfg is None:
        return None
    cfg = copy.deepcopy(
        dict(dict_of('predictor of FeatureDistillationTask', cfg)))
    cls = MODELS.get(
        cfg.setdefault('type', 'mmmultissl.DistillationPredictor'))
    if cls is not None and cls.__name__ == 'DistillationPredictor':
        cfg.setdefault('dense', dense)
        check_arguments(cls, cfg, 'The predictor')
    predictor = MODELS.build(cfg)
    if hasattr(predictor, 'init_weights'):
        predictor.init_weights()
    return predictor
