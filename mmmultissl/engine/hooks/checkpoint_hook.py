# Copyright (c) mmmultissl contributors. All rights reserved.
import os.path as osp
from contextlib import contextmanager

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook

from mmmultissl.registry import HOOKS

from ..atomic_save import write_text_atomically


class _RemovesLater(LocalBackend):
    """The local file system, with ``remove`` put off."""

    def __init__(self) -> None:
        super().__init__()
        self.put_off = []

    def remove(self, filepath) -> None:
        self.put_off.append(str(filepath))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` in an order that no kill can hurt.

    mmengine removes the outdated checkpoint before it writes the new one, so
    that a run killed in between with ``max_keep_ckpts=1`` has none. Here the
    new one is complete on the disk first, then ``last_checkpoint`` names it,
    then the old one goes. ``StrictRunner`` puts this hook in the place of
    ``CheckpointHook``; the arguments are the same.
    """

    def _save_checkpoint_with_step(self, runner, step: int,
                                   meta: dict) -> None:
        with self._removals_last():
            self._forget_oldest(runner, step)
            filename = self.filename_tmpl.format(step)
            self.last_ckpt = osp.join(self.out_dir, filename)
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            runner.save_checkpoint(
                self.out_dir,
                filename,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args)
            if is_main_process():
                write_text_atomically(
                    self.last_ckpt, osp.join(runner.work_dir,
                                             'last_checkpoint'))

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        with self._removals_last():
            super()._save_best_checkpoint(runner, metrics)

    def _forget_oldest(self, runner, step: int) -> None:
        # The ids are stored in the new checkpoint, hence before it is saved.
        if self.max_keep_ckpts <= 0 or step in list(self.keep_ckpt_ids)[-1:]:
            return
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            oldest = self.keep_ckpt_ids.popleft()
            if oldest != step and is_main_process():
                self.file_backend.remove(
                    osp.join(self.out_dir, self.filename_tmpl.format(oldest)))
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids',
                                       list(self.keep_ckpt_ids))

    @contextmanager
    def _removals_last(self):
        """Carry out the removals of a block at its end, if it succeeds."""
        backend = self.file_backend
        if isinstance(backend, _RemovesLater):  # the outer block does it
            yield
            return
        self.file_backend = waiting = _RemovesLater()
        try:
            yield
        finally:
            self.file_backend = backend
        kept = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        kept |= set(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in waiting.put_off:
            # The new best may have the very name of the former one.
            if path not in kept and backend.isfile(path):
                backend.remove(path)
