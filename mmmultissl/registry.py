# Copyright (c) mmmultissl contributors. All rights reserved.
"""The registries of mmmultissl: children of mmengine's, scope ``mmmultissl``.

Every node of mmengine's tree has a child here, because a node that a scope
lacks makes mmengine warn and search elsewhere. A name that is not ours is
looked up in mmpretrain, so that ``_base_ = 'mmmultissl::...'``, which injects
our scope into every inherited dict, still finds ``ResNet`` or ``MultiView``.
"""
import threading
from importlib import import_module
from typing import Optional, Type

from mmengine import registry as root
from mmengine.registry import Registry

_SCOPE = 'mmmultissl'
_FALLBACK = 'mmpretrain'


class FallbackRegistry(Registry):
    """A child registry that asks mmpretrain for the names it does not know.

    mmengine's root takes the prefix off before it asks a child, so that
    ``mmmultissl.ResNet`` finds mmpretrain's as well; write
    ``mmpretrain.ResNet``.

    Args:
        name (str): Name of the registry.
        parent (Registry): The registry of mmengine of the same kind.
        location (str): The module that registers our types when imported.
    """

    def __init__(self, name: str, parent: Registry, location: str) -> None:
        super().__init__(
            name, parent=parent, scope=_SCOPE, locations=[location])
        self._asking = threading.local()

    def get(self, key: str) -> Optional[Type]:
        """Get the class of a name: ours, mmengine's, then mmpretrain's.

        Args:
            key (str): The type's name, with or without a scope prefix.

        Returns:
            Type | None: The class, or None where no registry knows it.
        """
        found = super().get(key)
        # The sibling may itself fall back to us: ask it once, not for ever.
        if found is not None or '.' in key or getattr(
                self._asking, 'now', False):
            return found
        import_module(f'{_FALLBACK}.registry')
        sibling = self.parent.children.get(_FALLBACK)
        if sibling is None:
            return None
        self._asking.now = True
        try:
            return sibling.get(key)
        finally:
            self._asking.now = False


def _child(parent: Registry, package: str) -> FallbackRegistry:
    return FallbackRegistry(parent.name, parent, f'{_SCOPE}.{package}')


# mmmultissl.engine
RUNNERS = _child(root.RUNNERS, 'engine')
RUNNER_CONSTRUCTORS = _child(root.RUNNER_CONSTRUCTORS, 'engine')
LOOPS = _child(root.LOOPS, 'engine')
HOOKS = _child(root.HOOKS, 'engine')
STRATEGIES = _child(root.STRATEGIES, 'engine')
LOG_PROCESSORS = _child(root.LOG_PROCESSORS, 'engine')
OPTIMIZERS = _child(root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS, 'engine')
INFERENCERS = _child(root.INFERENCERS, 'engine')
FUNCTIONS = _child(root.FUNCTIONS, 'engine')

# mmmultissl.datasets
DATASETS = _child(root.DATASETS, 'datasets')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets')

# mmmultissl.models
MODELS = _child(root.MODELS, 'models')
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, 'models')
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, 'models')
TASK_UTILS = _child(root.TASK_UTILS, 'models')

# mmmultissl.evaluation
METRICS = _child(root.METRICS, 'evaluation')
EVALUATORS = _child(root.EVALUATOR, 'evaluation')

# Pictures and logs: mmmultissl.engine has the few of our own.
VISUALIZERS = _child(root.VISUALIZERS, 'engine')
VISBACKENDS = _child(root.VISBACKENDS, 'engine')
