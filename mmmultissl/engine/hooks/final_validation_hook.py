# Copyright (c) mmmultissl contributors. All rights reserved.
"""Validate a run that was stopped in its last validation."""
from mmengine.hooks import Hook

from mmmultissl.registry import HOOKS


@HOOKS.register_module()
class FinalValidationHook(Hook):
    """Validate once more where a resumed run has nothing left to train.

    A run that is killed in the validation at its end has its last checkpoint
    and no figures, and loops of mmengine validate after a step only.
    ``StrictRunner`` registers this hook in resumed runs by itself.
    """

    def before_train(self, runner) -> None:
        """Remember where the run begins.

        Args:
            runner (Runner): The runner, already resumed.
        """
        self._begun = runner.iter

    def after_train(self, runner) -> None:
        """Validate, unless something was trained.

        Args:
            runner (Runner): The runner.
        """
        if runner.val_loop is not None and 0 < runner.iter == self._begun:
            runner.logger.info('There is nothing left to train; the run is '
                               'validated once more.')
            runner.val_loop.run()
