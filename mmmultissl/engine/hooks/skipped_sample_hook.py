# Copyright (c) mmmultissl contributors. All rights reserved.
"""Say which samples were skipped because they cannot be read."""
import os
import os.path as osp
from typing import List

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmmultissl.engine.hooks.finite_loss_hook import log_interval
from mmmultissl.registry import HOOKS


@HOOKS.register_module()
class SkippedSampleHook(Hook):
    """Count and name the samples that ``SeededDataset`` had to skip.

    New names are logged with the log lines and all of them at the end, when
    those of all ranks are merged; until then the main process speaks of its
    own. They are also written, one name per line, to ``skipped_samples.txt``
    in the work directory. A resumed run adds to that file, a new one starts
    it anew. ``PretrainLoop`` registers this hook by itself.
    """

    priority = 'LOW'
    filename = 'skipped_samples.txt'
    # How many names one message shows; the file has them all. Our choice.
    shown = 5

    def before_train(self, runner) -> None:
        """Read the file of the run that is continued, or remove an old one.

        Args:
            runner (Runner): The runner.
        """
        self._dataset = runner.train_loop.seeded_dataset
        self._known = set()
        self._earlier = set()
        path = osp.join(runner.work_dir, self.filename)
        if is_main_process() and osp.isfile(path):
            if runner.iter > 0:
                with open(path, encoding='utf-8') as file:
                    self._earlier = set(file.read().splitlines())
            else:
                os.remove(path)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs=None) -> None:
        """Report what is new, at the log interval.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        if is_main_process() and self.every_n_train_iters(
                runner, log_interval(runner)):
            self._report(runner, self._dataset.unreadable())

    def after_train(self, runner) -> None:
        """Report the samples skipped by any rank.

        Args:
            runner (Runner): The runner.
        """
        indices = self._dataset.unreadable(merge=True)
        if is_main_process():
            self._report(runner, indices)
            self._report_silent(runner)

    @staticmethod
    def _report_silent(runner) -> None:
        model = getattr(runner.model, 'module', runner.model)
        counter = getattr(model.data_preprocessor, 'silent', None)
        if counter is not None and int(counter):
            runner.logger.warning(
                f'{int(counter)} samples were silent and trained on as they '
                'are, each counted as often as it was drawn: remove their '
                'rows from the index, or lower data_preprocessor.silence if '
                'they are merely quiet.')

    def _report(self, runner, indices: List[int]) -> None:
        new = [index for index in indices if index not in self._known]
        if not new:
            return
        self._known.update(new)
        names = [self._dataset.name_of(index) for index in new[:self.shown]]
        if len(new) > self.shown:
            names.append('…')
        path = osp.join(runner.work_dir, self.filename)
        runner.logger.warning(
            f'Skipped {len(self._known)} of {len(self._dataset)} samples that '
            f'cannot be read, new: {", ".join(names)}; all of them are '
            f'listed in {path}.')
        everything = self._earlier.union(
            self._dataset.name_of(index) for index in self._known)
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(f'{name}\n' for name in sorted(everything))
