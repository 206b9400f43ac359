# Copyright (c) mmmultissl contributors. All rights reserved.
"""All choices of the VOC07 evaluation, from a preset and what overrides it."""
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from ..knn import KNNProtocol
from ..svm.features import POOLS, Stages
from ..svm.low_shot import LowShotProtocol
from ..svm.protocol import MMSELFSUP_COSTS, VISSL_COSTS, SVMProtocol

PROBES = ('svm', 'low_shot', 'linear', 'knn')

# The two scripts agree in size, crop, normalisation, folds, class weights,
# draws and the treatment of difficult images; they differ in these.
PRESETS: Dict[str, Dict[str, Any]] = {
    'mmselfsup': dict(resize_backend='cv2', costs=MMSELFSUP_COSTS),
    'vissl': dict(resize_backend='pillow', costs=VISSL_COSTS),
}
# mmselfsup and VISSL have no exactly solved logistic regression: all of this
# is our choice. On vectors of norm 1 it wants larger costs than the SVM.
LINEAR = dict(
    loss='logistic',
    costs=tuple(4.**k for k in range(-2, 7)),
    positive_weight=1.)

Options = Optional[Mapping[str, Any]]


@dataclass(frozen=True)
class VOC07Protocol:
    """All choices but those of images and backbone; see :func:`make_protocol`.

    Args:
        preset (str): Name of the preset.
        overridden (tuple[str]): What was set apart from it.
        probes (tuple[str]): What is evaluated.
        pool (str): See :func:`pool_features`.
        stages (Sequence[int] | str, optional): Stages of the backbone.
        svm (SVMProtocol): Of ``svm`` and ``low_shot``.
        low_shot (LowShotProtocol): Of ``low_shot``.
        linear (SVMProtocol): Of ``linear``.
        knn (KNNProtocol): Of ``knn``.
    """
    preset: str
    overridden: Tuple[str, ...]
    probes: Tuple[str, ...]
    pool: str
    stages: Stages
    svm: SVMProtocol
    low_shot: LowShotProtocol
    linear: SVMProtocol
    knn: KNNProtocol

    def describe(self) -> Dict[str, str]:
        """Say every choice in words, for the log and the json.

        Returns:
            dict[str, str]: What is chosen, and how.
        """
        words = {
            'preset': self.preset +
            (', but for ' + ', '.join(self.overridden)
             if self.overridden else ''),
            'pooling': f'{self.pool}: {POOLS[self.pool]}',
            'features': 'each image\'s vector divided by (its L2 norm + '
                        '1e-05), float64',
            'AP in the test': 'area under the interpolated curve, all recall '
                              'points; tied scores enter together',
            'difficult in the test': 'left out of its class, as mmselfsup '
                                     'and VISSL do',
        }
        if 'svm' in self.probes:
            words.update(_named('svm', self.svm.describe()))
        if 'low_shot' in self.probes:
            shared = self.svm.describe()
            words.update(
                _named(
                    'low-shot',
                    dict(
                        self.low_shot.describe(), **{
                            name: shared[name]
                            for name in ('classifier', 'class weights',
                                         'costs', 'solver')
                        })))
        if 'linear' in self.probes:
            words.update(
                _named('linear (our choice)', self.linear.describe()))
        if 'knn' in self.probes:
            words.update(_named('knn', self.knn.describe()))
        return words


def _named(probe: str, words: Dict[str, str]) -> Dict[str, str]:
    return {f'{probe}, {name}': how for name, how in words.items()}


def make_protocol(preset: str = 'mmselfsup',
                  probes: Union[str, Sequence[str]] = PROBES,
                  pool: str = 'grid',
                  stages: Stages = None,
                  svm: Options = None,
                  low_shot: Options = None,
                  linear: Options = None,
                  knn: Options = None) -> VOC07Protocol:
    """Put a protocol together.

    Args:
        preset (str): ``'mmselfsup'`` or ``'vissl'``. Defaults to
            ``'mmselfsup'``.
        probes (Sequence[str]): Some of ``'svm'``, ``'low_shot'``,
            ``'linear'``, ``'knn'``. Defaults to all of them.
        pool (str): ``'grid'``, as both presets have it, ``'avg'`` or
            ``'2x2'``. Defaults to ``'grid'``.
        stages (Sequence[int] | str, optional): Stages of the backbone, or
            ``'all'``. Defaults to None, its last output.
        svm (Mapping, optional): Arguments of :class:`SVMProtocol` apart from
            the preset's. Defaults to None.
        low_shot (Mapping, optional): Of :class:`LowShotProtocol`. Defaults
            to None.
        linear (Mapping, optional): Of :class:`SVMProtocol`, for the logistic
            regression. Defaults to None.
        knn (Mapping, optional): Of :class:`KNNProtocol`. Defaults to None.

    Returns:
        VOC07Protocol: The protocol.

    Raises:
        ValueError: If a name or a value is not known.
    """
    if preset not in PRESETS:
        raise ValueError(f'preset is one of {", ".join(PRESETS)}, not '
                         f'{preset!r}.')
    probes = (probes, ) if isinstance(probes, str) else tuple(probes)
    unknown = [name for name in probes if name not in PROBES]
    if unknown or not probes:
        raise ValueError(f'probes are some of {", ".join(PROBES)}, not '
                         f'{", ".join(map(repr, unknown)) or "none"}.')
    if pool not in POOLS:
        raise ValueError(f'pool is one of {", ".join(POOLS)}, not {pool!r}.')
    given = dict(svm=svm, low_shot=low_shot, linear=linear, knn=knn)
    # Inheritance by `mmmultissl::` marks every dict with its scope.
    given = {
        name: {k: v
               for k, v in (options or {}).items() if k != '_scope_'}
        for name, options in given.items()
    }
    overridden = [] if pool == 'grid' else ['pool']
    overridden += [
        f'{name}.{key}' for name in probes for key in given[name]
    ]
    if 'low_shot' in probes and 'svm' not in probes:
        overridden += [f'svm.{key}' for key in given['svm']]
    return VOC07Protocol(
        preset, tuple(overridden), probes, pool, stages,
        _build(SVMProtocol, 'svm',
               dict(dict(costs=PRESETS[preset]['costs']), **given['svm'])),
        _build(LowShotProtocol, 'low_shot', given['low_shot']),
        _build(SVMProtocol, 'linear', dict(LINEAR, **given['linear'])),
        _build(KNNProtocol, 'knn', given['knn']))


def _build(kind: type, name: str, options: Dict[str, Any]):
    known = kind.__dataclass_fields__
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ValueError(f'{name} has no choice {", ".join(unknown)}: it has '
                         f'{", ".join(known)}.')
    return kind(**options)


def use_preset(dataset: dict, preset: str) -> None:
    """Give a :class:`VOC07Images` config the transforms of a preset.

    What the config sets itself stays.

    Args:
        dataset (dict): The config, changed in place.
        preset (str): Name of the preset.
    """
    if preset in PRESETS and not dataset.get('pipeline'):
        dataset.setdefault('resize_backend',
                           PRESETS[preset]['resize_backend'])
