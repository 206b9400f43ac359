# Copyright (c) mmmultissl contributors. All rights reserved.
"""VOC07 figures of the backbone while it is pretrained."""
import copy
from typing import Optional, Sequence, Union

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmmultissl.registry import HOOKS
from mmmultissl.utils.seeding import preserved_rng


@HOOKS.register_module()
class VOC07Hook(Hook):
    """Evaluate the backbone on VOC07 every so often, and at the end.

    The training is not touched: a copy of the backbone is evaluated, and the
    random generators are given back, so a run with this hook ends bit for bit
    where one without it ends. All processes compute features, with the first
    one's statistics of batch norm, as the checkpoint has them; the first one
    solves. The metrics go to ``scalars.json`` and whatever else the
    visualizer writes to, as ``voc07/knn/mAP`` and the like; the figures also
    go to the log. There is no other file.

    Images are normalised as the model's own preprocessor does it.

    Args:
        data_root (str): Folder of one year, such as ``VOCdevkit/VOC2007``.
        interval (int): Iterations between two evaluations, or epochs with
            ``by_epoch``; 0 evaluates at the end only. Defaults to 0.
        by_epoch (bool): Whether ``interval`` counts passes over the training
            data. Defaults to False.
        at_end (bool): Whether to evaluate after the last iteration too.
            Defaults to True.
        probes (Sequence[str]): Some of ``'svm'``, ``'low_shot'``,
            ``'linear'``, ``'knn'``. Defaults to ``('svm', 'knn')``.
        image_size (int): Sides of the images in pixels. Defaults to 224.
        pool (str): See :func:`pool_features`. Defaults to ``'avg'``, which
            fits any image size.
        stages (Sequence[int] | str, optional): Stages of the backbone, or
            ``'all'``. Defaults to None, its last output.
        preset (str): ``'mmselfsup'`` or ``'vissl'``. Defaults to
            ``'mmselfsup'``.
        svm (dict, optional): Choices that override the preset. Defaults to
            None; the same for the following ones.
        low_shot (dict, optional): Of the low-shot SVM.
        linear (dict, optional): Of the logistic regression.
        knn (dict, optional): Of the nearest neighbours.
        batch_size (int): Images at once. Defaults to 32.
        num_workers (int): Processes that load them. Defaults to 2.

    Raises:
        FileNotFoundError: If the images are not there.
        ValueError: If a choice is not known, or the model has no backbone.
    """

    # After the checkpoint hook (VERY_LOW), so that a failure here costs none.
    priority = 'LOWEST'

    def __init__(self,
                 data_root: str,
                 interval: int = 0,
                 by_epoch: bool = False,
                 at_end: bool = True,
                 probes: Sequence[str] = ('svm', 'knn'),
                 image_size: int = 224,
                 pool: str = 'avg',
                 stages: Union[str, Sequence[int], None] = None,
                 preset: str = 'mmselfsup',
                 svm: Optional[dict] = None,
                 low_shot: Optional[dict] = None,
                 linear: Optional[dict] = None,
                 knn: Optional[dict] = None,
                 batch_size: int = 32,
                 num_workers: int = 2) -> None:
        from mmmultissl.evaluation.voc07 import make_protocol, use_preset
        if int(interval) != interval or interval < 0 or not (interval
                                                             or at_end):
            raise ValueError(
                f'VOC07Hook got interval={interval} and at_end={at_end}: set '
                'interval to a whole number of at least 1, or at_end=True.')
        self.interval = int(interval)
        self.by_epoch = by_epoch
        self.at_end = at_end
        self.protocol = make_protocol(preset, probes, pool, stages, svm,
                                      low_shot, linear, knn)
        dataset = dict(
            type='mmmultissl.VOC07Images',
            data_root=data_root,
            image_size=image_size)
        use_preset(dataset, preset)
        self._loader_cfg = dict(
            batch_size=batch_size,
            num_workers=num_workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset)
        self._loader = None
        self._told = False

    def before_train(self, runner) -> None:
        """Read the lists, so that what is missing stops the run at once.

        Args:
            runner (Runner): The runner.
        """
        with preserved_rng():
            self._loader = runner.build_dataloader(self._loader_cfg, seed=0)
        self._encoder(runner)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Evaluate where it is due.

        Args:
            runner (Runner): The runner.
            batch_idx (int): Not used.
            data_batch (Any): Not used.
            outputs (dict, optional): Not used.
        """
        interval = self.interval
        if self.by_epoch:
            interval *= len(runner.train_dataloader)
        last = runner.iter + 1 == runner.max_iters
        if (interval and self.every_n_train_iters(runner, interval)) or (
                self.at_end and last):
            with preserved_rng():
                self._evaluate(runner, runner.iter + 1)

    def _encoder(self, runner):
        """Copy the backbone, with the statistics of the model's pixels."""
        from mmmultissl.evaluation.svm import FrozenEncoder
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        pixels = getattr(model, 'data_preprocessor', None)
        if not hasattr(model, 'backbone') or not hasattr(pixels, 'mean'):
            raise ValueError(
                f'VOC07Hook needs a model with a backbone and a '
                'data_preprocessor with mean and std, which '
                f'{type(model).__name__} has not: set them in the config.')
        return FrozenEncoder(
            copy.deepcopy(model.backbone),
            dict(
                type='mmpretrain.ClsDataPreprocessor',
                mean=pixels.mean.flatten().tolist(),
                std=pixels.std.flatten().tolist(),
                to_rgb=bool(pixels._channel_conversion))).to(
                    next(model.parameters()).device)

    def _evaluate(self, runner, step: int) -> None:
        from mmmultissl.evaluation.voc07 import evaluate_voc07, metrics_of
        encoder = self._encoder(runner)
        # Batch norm counts in each process by itself; the checkpoint has the
        # first one's.
        for buffer in encoder.backbone.buffers():
            broadcast(buffer)
        words = []
        result = evaluate_voc07(
            encoder,
            self._loader,
            self.protocol,
            device=next(encoder.parameters()).device,
            say=words.append)
        metrics = metrics_of(result)
        if not is_main_process():
            return
        runner.visualizer.add_scalars(metrics, step=step)
        shown = {
            name: value
            for name, value in metrics.items() if '/AP/' not in name
        }
        # The choices once, the figures each time.
        if not self._told:
            runner.logger.info(f'\n{words[0]}')
            self._told = True
        runner.logger.info(f'Iter({step}) ' + ', '.join(
            f'{name} {value:.2f}' for name, value in shown.items()))
