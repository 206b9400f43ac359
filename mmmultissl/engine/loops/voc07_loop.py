# Copyright (c) mmmultissl contributors. All rights reserved.
"""A test loop that is the VOC07 evaluation."""
import os.path as osp
from typing import Dict, List, Optional, Sequence, Union

from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from mmmultissl.engine.backbone_weights import fill_backbone
from mmmultissl.evaluation.svm.report import in_words
from mmmultissl.evaluation.voc07 import (PROBES, evaluate_voc07, make_protocol,
                                         metrics_of, use_preset)
from mmmultissl.registry import LOOPS


@LOOPS.register_module()
class VOC07Loop(BaseLoop):
    """Extract features, run the probes, report them.

    The json is written to the work directory, the metrics go where mmengine's
    test metrics go.

    It fills the backbone itself, in place of the runner's ``load_from``: a
    pretraining checkpoint also holds tasks and averaged encoders, which are
    no error here, whereas every key of the backbone must be in it.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): Loader of a :class:`VOC07Images`.
        evaluator (Evaluator | dict | list): Not used, since the loop itself
            evaluates; mmengine wants ``test_evaluator=[]`` in the config.
        preset (str): ``'mmselfsup'`` or ``'vissl'``. Defaults to
            ``'mmselfsup'``.
        probes (Sequence[str]): Some of ``'svm'``, ``'low_shot'``,
            ``'linear'``, ``'knn'``. Defaults to all of them.
        pool (str): ``'grid'``, ``'avg'`` or ``'2x2'``; see
            :func:`pool_features`. Defaults to ``'grid'``.
        stages (Sequence[int] | str, optional): Stages of the backbone, or
            ``'all'``. Defaults to None, its last output.
        svm (dict, optional): Choices of :class:`SVMProtocol` that override
            the preset. Defaults to None.
        low_shot (dict, optional): Choices of :class:`LowShotProtocol`.
            Defaults to None.
        linear (dict, optional): Choices of :class:`SVMProtocol`, for the
            logistic regression. Defaults to None.
        knn (dict, optional): Choices of :class:`KNNProtocol`. Defaults to
            None.
        prefix (str): Where the checkpoint holds the backbone. Defaults to
            ``'backbone.'``.
        out (str): Name of the json in the work directory. Defaults to
            ``'voc07.json'``.
        fp16 (bool): Not supported: features are computed in float32. It is
            here because mmpretrain's ``test.py --amp`` sets it.

    Raises:
        ValueError: If ``fp16`` is set or no checkpoint is given.
        RuntimeError: If the checkpoint does not fill the backbone.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: Union[DataLoader, Dict],
                 evaluator: Union[Evaluator, Dict, List, None] = None,
                 preset: str = 'mmselfsup',
                 probes: Sequence[str] = PROBES,
                 pool: str = 'grid',
                 stages: Union[str, Sequence[int], None] = None,
                 svm: Optional[dict] = None,
                 low_shot: Optional[dict] = None,
                 linear: Optional[dict] = None,
                 knn: Optional[dict] = None,
                 prefix: str = 'backbone.',
                 out: str = 'voc07.json',
                 fp16: bool = False) -> None:
        if fp16:
            raise ValueError('The VOC07 evaluation computes features in '
                             'float32: leave out --amp (test_cfg.fp16).')
        self.protocol = make_protocol(preset, probes, pool, stages, svm,
                                      low_shot, linear, knn)
        if isinstance(dataloader, dict):
            use_preset(dataloader['dataset'], preset)
        super().__init__(runner, dataloader)
        # A loop of mmengine has one, and tools look at it.
        self.evaluator = runner.build_evaluator(evaluator or [])
        self.out = out
        model = runner.model
        self.model = model.module if is_model_wrapper(model) else model
        if not runner._has_loaded:
            self.checkpoint = fill_backbone(self.model.backbone,
                                            runner._load_from, prefix,
                                            runner.seed)
            # Runner.test() loads after it has built the loop.
            runner._has_loaded = True
        else:
            self.checkpoint = 'the model as it is in this run'

    def run(self) -> dict:
        """Evaluate the runner's model.

        Returns:
            dict[str, float]: See :func:`metrics_of`.
        """
        runner = self.runner
        device = next(self.model.parameters()).device
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        result = evaluate_voc07(
            self.model,
            self.dataloader,
            self.protocol,
            device=device,
            about=dict(
                config=str(runner.cfg.filename),
                backbone=in_words(runner.cfg.model.backbone),
                device=str(device),
                checkpoint=self.checkpoint),
            out=osp.join(runner.work_dir, self.out),
            say=lambda text: runner.logger.info(f'\n{text}'))
        metrics = metrics_of(result)
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics


@LOOPS.register_module()
class VOC07SVMLoop(VOC07Loop):
    """:class:`VOC07Loop` with the SVM alone.

    Args:
        *args: As in :class:`VOC07Loop`.
        protocol (dict, optional): Another name of ``svm``. Defaults to None.
        probes (Sequence[str]): Defaults to ``('svm', )``.
        out (str): Defaults to ``'voc07_svm.json'``.
        **kwargs: As in :class:`VOC07Loop`.
    """

    def __init__(self,
                 *args,
                 protocol: Optional[dict] = None,
                 probes: Sequence[str] = ('svm', ),
                 out: str = 'voc07_svm.json',
                 **kwargs) -> None:
        if protocol is not None:
            kwargs['svm'] = dict(protocol, **(kwargs.get('svm') or {}))
        super().__init__(*args, probes=probes, out=out, **kwargs)
