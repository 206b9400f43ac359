# Copyright (c) mmmultissl contributors. All rights reserved.
"""Carry in the checkpoint what a run must share with its continuation."""
from typing import Optional

from mmengine.hooks import Hook

from mmmultissl.registry import HOOKS


@HOOKS.register_module()
class ResumeRecordHook(Hook):
    """Write the record of ``PretrainLoop`` to checkpoints, and read it back.

    The record holds plain numbers under ``meta.pretrain``. ``PretrainLoop``
    registers this hook by itself and compares the records.
    """

    key = 'pretrain'

    def __init__(self) -> None:
        self.loaded: Optional[dict] = None

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep the record of the checkpoint.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint that was read.
        """
        self.loaded = checkpoint.get('meta', {}).get(self.key)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add the record of this run.

        Args:
            runner (Runner): The runner.
            checkpoint (dict): The checkpoint to be written.
        """
        checkpoint['meta'][self.key] = runner.train_loop.record()
