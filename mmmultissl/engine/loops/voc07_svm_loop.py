# Copyright (c) mmmultissl contributors. All rights reserved.
"""A test loop that is the VOC07 SVM."""
import os.path as osp
from typing import Dict, List, Optional, Union

from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from mmmultissl.engine.backbone_weights import fill_backbone
from mmmultissl.evaluation.svm import SVMProtocol, evaluate_voc07
from mmmultissl.evaluation.svm.report import in_words
from mmmultissl.registry import LOOPS


@LOOPS.register_module()
class VOC07SVMLoop(BaseLoop):
    """Extract features, train one linear SVM per class, report the mAP.

    The json is written to ``<work_dir>/voc07_svm.json``.

    It fills the backbone itself, in place of the runner's ``load_from``: a
    pretraining checkpoint also holds tasks and averaged encoders, which are
    no error here, whereas every key of the backbone must be in it.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): Loader of a :class:`VOC07Images`.
        evaluator (Evaluator | dict | list): Not used, since the loop itself
            evaluates; mmengine wants ``test_evaluator=[]`` in the config.
        pool (str): ``'avg'``, the global mean, or ``'2x2'``, mmselfsup's four
            windows. Defaults to ``'avg'``.
        index (int): Which of the backbone's outputs to take. Defaults to -1.
        prefix (str): Where the checkpoint holds the backbone. Defaults to
            ``'backbone.'``.
        protocol (dict, optional): Arguments of :class:`SVMProtocol`. Defaults
            to None, mmselfsup's protocol.
        out (str): Name of the json in the work directory. Defaults to
            ``'voc07_svm.json'``.
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
                 pool: str = 'avg',
                 index: int = -1,
                 prefix: str = 'backbone.',
                 protocol: Optional[dict] = None,
                 out: str = 'voc07_svm.json',
                 fp16: bool = False) -> None:
        super().__init__(runner, dataloader)
        if fp16:
            raise ValueError('The VOC07 SVM computes features in float32: '
                             'leave out --amp (test_cfg.fp16).')
        # A loop of mmengine has one, and tools look at it.
        self.evaluator = runner.build_evaluator(evaluator or [])
        self.pool = pool
        self.index = index
        # Inheritance by `mmmultissl::` marks every dict with its scope.
        self.protocol = SVMProtocol(**{
            name: value
            for name, value in (protocol or {}).items() if name != '_scope_'
        })
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
            dict[str, float]: ``voc07_svm/mAP`` and ``voc07_svm/AP/<class>``,
            from 0 to 100.
        """
        runner = self.runner
        device = next(self.model.parameters()).device
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        result = evaluate_voc07(
            self.model,
            self.dataloader,
            self.protocol,
            self.pool,
            self.index,
            device=device,
            about=dict(
                config=str(runner.cfg.filename),
                backbone=in_words(runner.cfg.model.backbone),
                device=str(device),
                checkpoint=self.checkpoint),
            out=osp.join(runner.work_dir, self.out),
            say=lambda text: runner.logger.info(f'\n{text}'))
        metrics = {'voc07_svm/mAP': result['mAP']}
        for name, row in result['classes'].items():
            metrics[f'voc07_svm/AP/{name}'] = row['ap']
        runner.call_hook('after_test_epoch', metrics=metrics)
        runner.call_hook('after_test')
        return metrics
